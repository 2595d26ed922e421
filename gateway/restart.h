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

#include "engine/engine.h"
#include "gateway/config.h"

namespace sluice {

// Whether a lost device is worth a restart: after half a minute in which the engine could not open
// it again, and after a restart not within five minutes, so that a device that fails again and
// again does not keep the gateway restarting. One that never was open in this process is not:
// another process would find it as it is.
class LostDevice {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds lost_for{30};
    static constexpr std::chrono::minutes apart{5};

    // `restarted`: when this process was, if it was.
    explicit LostDevice(std::optional<Clock::time_point> restarted) : restarted_(restarted) {}
    // `engine` as Fleet::engine_now() has it. True once; then again after as long.
    bool restart_due(const std::optional<Occupancy>& engine, Clock::time_point now);

private:
    std::optional<Clock::time_point> restarted_, since_;
};

class Restart {
public:
    // Stops `main` when it is time. `live`: the configuration in force; before anything ends the
    // one on disk must load and pass its golden gate, or the restart is refused and all goes on.
    Restart(boost::asio::io_context& main, bool restarted, std::function<ConfigPtr()> live,
            std::function<std::optional<Occupancy>()> engine);

    bool wanted() const { return wanted_; }

private:
    void wait_for_signal();
    void watch_device();
    void restart(std::string_view why);

    boost::asio::io_context& main_;
    boost::asio::signal_set asked_;
    boost::asio::steady_timer look_;
    std::function<ConfigPtr()> live_;
    std::function<std::optional<Occupancy>()> engine_;
    LostDevice lost_;
    bool wanted_ = false;
};

}  // namespace sluice
