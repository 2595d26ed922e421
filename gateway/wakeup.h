// Where one coroutine sleeps until a callback of the same io thread wakes it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>

namespace sluice {

namespace net = boost::asio;

class Wakeup {
public:
    // Suspends the caller until the next wake(). One waiter at a time. The waiter looks at its own
    // flags for the reason and must stand a wake without one.
    net::awaitable<void> wait();
    // Resumes the waiter inside this call; nothing when there is none. Never called by the waiter's
    // own coroutine while it waits.
    void wake();
    // Resumes it from the io_context's loop, for callers that must not be overtaken.
    void wake_later(net::io_context& io);
    // Destroys the waiting coroutine, for a shutdown that has run out of time.
    void drop() { held_.reset(); }

private:
    struct Held {
        virtual ~Held() = default;
        virtual void resume() = 0;
    };
    template <class Resume>
    struct HeldResume;
    std::unique_ptr<Held> held_;
};

}  // namespace sluice
