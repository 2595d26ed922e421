// The pull interface that makes local and hosted tiers look alike to relay().
// One io thread: the connection's.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <list>
#include <utility>

#include "engine/result.h"
#include "providers/chat.h"

namespace sluice {

namespace net = boost::asio;

// Says that a request's client left, or that the gateway shuts down. One per request.
class Stop {
public:
    bool requested() const { return requested_; }
    void request() {
        if (std::exchange(requested_, true)) return;
        auto wakes = std::move(wakes_);
        wakes_.clear();
        for (auto& wake : wakes) wake();
    }
    // Calls `wake` once when the stop is requested, until the watch is destroyed. At once if it
    // was requested before.
    class Watch {
    public:
        Watch(Stop& stop, std::function<void()> wake) : stop_(stop) {
            if (stop.requested_) {
                wake();
                return;
            }
            at_ = stop.wakes_.insert(stop.wakes_.end(), std::move(wake));
            placed_ = true;
        }
        ~Watch() {
            if (placed_ && !stop_.requested_) stop_.wakes_.erase(at_);
        }
        Watch(const Watch&) = delete;
        Watch& operator=(const Watch&) = delete;

    private:
        Stop& stop_;
        std::list<std::function<void()>>::iterator at_;
        bool placed_ = false;
    };

private:
    bool requested_ = false;
    std::list<std::function<void()>> wakes_;
};

class DeltaStream {  // destroying it cancels the work behind it
public:
    virtual ~DeltaStream() = default;
    // The next piece; the last one has .last and .usage set, and nothing follows it. Errors end the
    // stream: upstream_*, timed_out, rate_limited, ..., cancelled when the stop was requested.
    virtual net::awaitable<Result<Delta>> next() = 0;
    // Tokens so far, for an attempt that ends early: what the vendor said, or counted by us.
    virtual Usage usage_so_far() const = 0;
};

}  // namespace sluice
