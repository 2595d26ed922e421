// Configuration changes in a running gateway: on SIGHUP and when a file that the configuration was
// read from changes, and when a new day (UTC) may put other prices in force. All or nothing: with
// any fault the old configuration keeps serving. Thread: main's io_context; snapshots are handed to
// each io thread by a post.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gateway/config.h"
#include "gateway/metrics.h"

namespace sluice {

class Reload {
public:
    // Calls `install` with each new good configuration. Looks at the files once a second.
    Reload(boost::asio::io_context& main, ConfigPtr now, std::function<void(ConfigPtr)> install,
           Metrics& metrics);

private:
    void wait_for_signal();
    void wait_for_change();
    void reload(std::string_view why);
    static std::vector<std::int64_t> stamps(const std::vector<std::string>& files);

    boost::asio::signal_set hangup_;
    boost::asio::steady_timer look_;
    ConfigPtr now_;
    std::vector<std::string> watched_;  // also the files of a configuration that had faults
    std::vector<std::int64_t> seen_;
    std::string date_;  // of the last load, UTC
    std::function<void(ConfigPtr)> install_;
    Metrics& metrics_;
};

}  // namespace sluice
