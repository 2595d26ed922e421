// Configuration changes in a running gateway: on SIGHUP and when a file that the configuration was
// read from changes, and when a new day (UTC) may put other prices in force. All or nothing: with
// any fault the old configuration keeps serving. Thread: main's io_context; snapshots are handed to
// each io thread by a post. One thing goes its own way: keys that `sluice keys` has ended or turned
// end, also where nothing else of a change can be taken.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gateway/config.h"
#include "gateway/metrics.h"

namespace sluice {

class Reload {
public:
    // What of a file changes when it is written or replaced; an editor's rename changes the inode.
    struct Stamp {
        std::int64_t modified_ns = -1, bytes = -1, inode = -1;  // -1: it is not there
        bool operator==(const Stamp&) const = default;
    };
    using Stamps = std::map<std::string, Stamp>;
    static Stamps stamps(const std::vector<std::string>& files);

    // `seen`: of `now`'s files, taken when they were read. Calls `install` with each new good
    // configuration, which it may refuse. Looks at the files four times a second, and waits until
    // they stay as they are for one: half a file may well be a policy, with fewer rules. What our
    // own commands have replaced is taken up at once.
    Reload(boost::asio::io_context& main, ConfigPtr now, Stamps seen,
           std::function<Status(ConfigPtr)> install, Metrics& metrics);

private:
    void wait_for_signal();
    void wait_for_change();
    bool settled_on_a_change();
    void reload(std::string_view why);
    void end_keys();

    boost::asio::signal_set hangup_;
    boost::asio::steady_timer look_;
    ConfigPtr now_;
    Stamps seen_;       // what is watched: also the files of a configuration that had faults
    Stamps changing_;   // at the last look, where it found a change
    int quiet_ = 0;     // looks that have found the same change
    std::string date_;  // of the last load, UTC
    std::function<Status(ConfigPtr)> install_;
    Metrics& metrics_;
};

}  // namespace sluice
