#include "gateway/plain_connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <utility>

#include "gateway/plain_body.h"

namespace sluice {

PlainConnection::PlainConnection(PlainTransport& transport, std::string host)
    : transport_(transport),
      host_(std::move(host)),
      socket_(transport.io_),
      timer_(transport.io_.get_executor()) {}

bool PlainConnection::begin_connect(const net::ip::tcp::endpoint& endpoint) {
    boost::system::error_code error;
    socket_.close(error);
    socket_.open(endpoint.protocol(), error);
    if (error) return false;
    socket_.non_blocking(true, error);
    socket_.set_option(net::ip::tcp::no_delay(true), error);
    socket_.set_option(net::socket_base::keep_alive(true), error);
    using Seconds = net::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
    using Between = net::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
    socket_.set_option(Seconds(30), error);
    socket_.set_option(Between(10), error);
    int begun = ::connect(socket_.native_handle(), endpoint.data(),
                          static_cast<socklen_t>(endpoint.size()));
    if (begun != 0 && errno != EINPROGRESS) return false;
    watch_writable();
    return true;
}

int PlainConnection::connect_error() const {
    int error = 0;
    socklen_t size = sizeof error;
    auto& socket = const_cast<decltype(socket_)&>(socket_);  // native_handle() is not const
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    return error;
}

ssize_t PlainConnection::send(std::string_view first, std::string_view second) {
    std::array<iovec, 2> parts;
    parts[0].iov_base = const_cast<char*>(first.data());  // sendmsg does not write there
    parts[0].iov_len = first.size();
    parts[1].iov_base = const_cast<char*>(second.data());
    parts[1].iov_len = second.size();
    msghdr message = {};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
}

ssize_t PlainConnection::receive() {
    if (watching_) {
        errno = EAGAIN;
        return -1;
    }
    auto& input = transport_.input_;
    return ::recv(socket_.native_handle(), input.data(), input.size(), 0);
}

void PlainConnection::watch_writable() {
    socket_.async_wait(socket_.wait_write,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error) self->ready();
                       });
}

void PlainConnection::watch() {
    if (std::exchange(watching_, true)) return;
    socket_.async_wait(socket_.wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                           self->watching_ = false;
                           if (!error) self->ready();
                       });
}

void PlainConnection::ready() {
    if (user != nullptr) {
        user->ready();
    } else if (pool != nullptr) {
        pool->forget(*this);  // the peer closed, or speaks out of turn
    }
}

void PlainConnection::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    clear_deadline();
}

void PlainConnection::set_deadline(Clock::time_point at) {
    deadline_ = at;
    if (at < armed_) arm_timer();
}

void PlainConnection::arm_timer() {
    armed_ = deadline_;
    timer_.expires_at(armed_);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (error) return;  // armed anew, or closed
        self->armed_ = Clock::time_point::max();
        if (self->deadline_ == Clock::time_point::max()) return;
        if (Clock::now() < self->deadline_) {
            self->arm_timer();
            return;
        }
        self->clear_deadline();
        if (self->user != nullptr) self->user->late();
    });
}

}  // namespace sluice
