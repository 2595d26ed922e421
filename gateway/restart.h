// When the gateway is to start anew in its place (handover.h): when an operator asks for it by
// SIGUSR2, for a new program or for what a reload cannot change, and when the engine's device is
// lost: no driver of today gives a device back to the process in which it failed.
// Thread: main's io_context.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string_view>

#include "engine/result.h"
#include "gateway/config.h"

namespace sluice {

// Whether a lost device is worth a restart: after half a minute in which the engine could not open
// it again, and after a restart not within five minutes, twice as many for each one in a row that
// was in vain: a device that fails again and again must not keep the gateway restarting.
class LostDevice {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds lost_for{30};
    static constexpr std::chrono::minutes apart{5};
    static constexpr int doublings_max = 6;

    // `restarted`: when this process was, if it was.
    explicit LostDevice(std::optional<Clock::time_point> restarted = {}, int in_vain = 0);
    // True once; then again after as long.
    bool restart_due(bool lost, Clock::time_point now);

private:
    std::optional<Clock::time_point> not_before_, since_;
};

class Restart {
public:
    struct Parts {
        std::function<ConfigPtr()> live;  // the configuration in force
        std::function<bool()> device_lost;
        // Whether a next life can begin with the configuration on disk, but for what Restart looks
        // at itself: that it loads, serves with no less than the one in force and passes its gate.
        std::function<Status(const Config& next)> can_begin;
    };
    // Stops `main` when it is time. Before anything ends the next life must be able to begin, or
    // the restart is refused and all goes on.
    Restart(boost::asio::io_context& main, LostDevice lost, Parts parts);

    bool wanted() const { return wanted_; }

private:
    void wait_for_signal();
    void watch_device();
    void restart(std::string_view why);
    Status may_begin() const;

    boost::asio::io_context& main_;
    boost::asio::signal_set asked_;
    boost::asio::steady_timer look_;
    LostDevice lost_;
    Parts parts_;
    bool wanted_ = false;
};

}  // namespace sluice
