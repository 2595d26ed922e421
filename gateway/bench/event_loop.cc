#include "gateway/bench/event_loop.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sluice::bench {

Source::~Source() { close(); }

void Source::take(int handle, std::uint32_t events) {
    handle_ = handle;
    epoll_event event = {};
    event.events = events | EPOLLET | EPOLLRDHUP;
    event.data.ptr = this;
    ::epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, handle_, &event);
}

void Source::close() {
    set_timer(Clock::time_point::max());
    if (handle_ >= 0) ::close(std::exchange(handle_, -1));
}

void Source::set_timer(Clock::time_point at) {
    if (at_ != Clock::time_point::max()) loop_.timers_.erase({at_, this});
    at_ = at;
    if (at_ != Clock::time_point::max()) loop_.timers_.insert({at_, this});
}

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), events_(512) {}

EventLoop::~EventLoop() {
    graves_.clear();
    ::close(epoll_);
}

bool EventLoop::run(Clock::time_point deadline, const std::function<bool()>& done) {
    while (!done()) {
        if (Clock::now() >= deadline) return false;
        poll();
        run_timers();
        graves_.clear();
    }
    return true;
}

// Never sleeps: a sleeping peer would have to be woken by the server's sends; that cost, several
// microseconds on a virtual machine, falls on the server measured and most on the slower ones.
void EventLoop::poll() {
    int count = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 0);
    for (int i = 0; i < count; ++i) {
        auto* source = static_cast<Source*>(events_[static_cast<std::size_t>(i)].data.ptr);
        if (source->handle() >= 0) source->ready(events_[static_cast<std::size_t>(i)].events);
    }
}

void EventLoop::run_timers() {
    auto now = Clock::now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Source* source = timers_.begin()->second;
        source->set_timer(Clock::time_point::max());
        source->due();
    }
}

int connect_to(int port) {
    int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    ::setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::connect(handle, reinterpret_cast<sockaddr*>(&address), sizeof address);
    return handle;
}

bool receive_all(int handle, std::uint32_t events, std::string& bytes) {
    bool to_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    char buffer[65536];
    for (;;) {
        ssize_t size = ::recv(handle, buffer, sizeof buffer, 0);
        if (size > 0) bytes.append(buffer, static_cast<std::size_t>(size));
        // Edge-triggered: a read that did not fill the buffer emptied the socket, and a later byte
        // is a new edge.
        if (size > 0 && static_cast<std::size_t>(size) < sizeof buffer && !to_end) return true;
        if (size == 0) return false;
        if (size < 0 && errno != EINTR) return errno == EAGAIN;
    }
}

bool send_all(int handle, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t size = ::send(handle, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

}  // namespace sluice::bench
