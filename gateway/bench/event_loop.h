// A plain epoll loop with one timer a source, for the benchmark's load and its upstream: both run
// on one thread, so that the other core is left to what is measured. One thread.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::bench {

using Clock = std::chrono::steady_clock;

class EventLoop;

// Something with a socket. Owns it.
class Source {
public:
    explicit Source(EventLoop& loop) : loop_(loop) {}
    virtual ~Source();
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual void ready(std::uint32_t events) = 0;
    virtual void due() {}  // its timer has come

    int handle() const { return handle_; }

protected:
    void take(int handle, std::uint32_t events);  // watched edge-triggered
    void close();
    void set_timer(Clock::time_point at);

    EventLoop& loop_;

private:
    friend class EventLoop;
    int handle_ = -1;
    Clock::time_point at_ = Clock::time_point::max();
};

class EventLoop {
public:
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Runs until `done` says so or `deadline` has passed; true if done.
    bool run(Clock::time_point deadline, const std::function<bool()>& done);
    // Destroys the source once the events at hand are handled.
    void bury(std::unique_ptr<Source> source) { graves_.push_back(std::move(source)); }

private:
    friend class Source;
    void run_timers();
    void poll();

    int epoll_;
    std::set<std::pair<Clock::time_point, Source*>> timers_;
    std::vector<std::unique_ptr<Source>> graves_;
    std::vector<epoll_event> events_;
};

// A non-blocking socket with Nagle's algorithm off, connecting to 127.0.0.1:port.
int connect_to(int port);
// Appends what the socket holds now to `bytes`; `events` are those of ready(). False when the peer
// has closed.
bool receive_all(int handle, std::uint32_t events, std::string& bytes);
// False when the socket did not take all of it: the peer closed, or reads too slowly.
bool send_all(int handle, std::string_view bytes);

}  // namespace sluice::bench
