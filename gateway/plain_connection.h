// One TCP connection to an upstream, with the waits that a call or the pool has on it. Part of
// plain_transport. One io thread; handlers in flight keep it alive.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/plain_transport.h"

namespace sluice {

class PlainConnection : public std::enable_shared_from_this<PlainConnection> {
public:
    using Clock = std::chrono::steady_clock;

    PlainConnection(PlainTransport& transport, std::string host);

    // Begins to connect; then the user's ready() is called, as after watch().
    bool begin_connect(const net::ip::tcp::endpoint& endpoint);
    int connect_error() const;  // errno's value, 0 when connected
    // Bytes taken by the socket, or -1: errno says why.
    ssize_t send(std::string_view first, std::string_view second);
    void watch_writable();
    // Bytes read into the transport's input buffer; 0 at the end; -1: errno. Returns -1 with EAGAIN
    // without a call to the system while a watch is out, since nothing has come then.
    ssize_t receive();
    void watch();
    bool watching() const { return watching_; }
    void close();
    bool open() const { return socket_.is_open(); }

    // Calls the user's late() once `at` has passed, if that is still the deadline then. Moving it
    // on costs nothing: the timer looks again when it fires.
    void set_deadline(Clock::time_point at);
    void clear_deadline() { deadline_ = Clock::time_point::max(); }

    const std::string& host() const { return host_; }

    PlainBody* user = nullptr;       // none while idle
    PlainTransport* pool = nullptr;  // while idle in it
    Clock::time_point idle_since;
    PlainTransport::Idle::iterator place;  // while idle
    bool used_before = false;

private:
    using Executor = net::io_context::executor_type;
    void ready();
    void arm_timer();

    PlainTransport& transport_;  // not touched once neither used nor pooled
    std::string host_;
    net::basic_stream_socket<net::ip::tcp, Executor> socket_;
    net::basic_waitable_timer<Clock, net::wait_traits<Clock>, Executor> timer_;
    Clock::time_point deadline_ = Clock::time_point::max();
    Clock::time_point armed_ = Clock::time_point::max();
    bool watching_ = false;
};

}  // namespace sluice
