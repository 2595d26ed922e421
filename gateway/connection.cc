#include "gateway/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "engine/log.h"
#include "gateway/random_bytes.h"
#include "gateway/refusal.h"
#include "providers/error_table.h"

namespace sluice {
namespace {

constexpr std::size_t input_bytes = 64U << 10;
constexpr std::size_t body_bytes_kept_max = 64U << 10;
constexpr std::size_t body_bytes_at_once_max = 1U << 20;  // reserved on a client's word
constexpr std::size_t parser_padding_bytes = 64;  // spares the JSON parser a copy of the body
constexpr std::size_t pipelined_bytes_max = 64U << 10;
constexpr int linger_ms = 2'000;
// While the server ends: for a request whose first bytes are on their way, and for the rest of one.
constexpr int leave_head_ms = 2'000;
constexpr int leave_body_ms = 10'000;
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

bool is_sane_id(std::string_view id) {
    if (id.empty() || id.size() > 128) return false;
    for (char c : id)
        if (c < 0x21 || c > 0x7E) return false;
    return true;
}

// 120 random bits: unique, not secret.
std::string make_request_id(std::mt19937_64& random) {
    static constexpr char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    std::string id = "req_000000000000000000000000";
    for (std::size_t at = 4; at < id.size();) {
        std::uint64_t bits = random();
        for (int i = 0; i < 12; ++i, bits >>= 5) id[at++] = digits[bits & 31];
    }
    return id;
}

// Of few bits, two threads of many would make the same ids one day.
std::mt19937_64 random_seed() {
    std::array<std::uint32_t, 8> words{};
    if (!random_bytes(words.data(), sizeof words))  // then ids are new by the time only
        words[0] =
            static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    std::seed_seq seed(words.begin(), words.end());
    return std::mt19937_64(seed);
}

bool is_loopback(const net::ip::address& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).is_loopback();
    return address.is_loopback();
}

}  // namespace

IoThread::IoThread(const ServerLimits& limits_in)
    : limits(limits_in), input(input_bytes), random(random_seed()) {}

net::awaitable<void> serve_connection(IoThread& io, Socket socket) {
    auto connection = std::make_shared<Connection>(io, std::move(socket));
    co_await connection->run();
}

Connection::Connection(IoThread& io, Socket socket) : io_(io), socket_(std::move(socket)) {
    place_ = io_.connections.insert(io_.connections.end(), this);
    boost::system::error_code ignored;
    socket_.non_blocking(true, ignored);
    socket_.set_option(net::ip::tcp::no_delay(true), ignored);
    auto peer = socket_.remote_endpoint(ignored);
    peer_is_loopback_ = !ignored && is_loopback(peer.address());
}

Connection::~Connection() { io_.connections.erase(place_); }

net::awaitable<void> Connection::run() {
    set_deadline(io_.limits.header_ms);
    bool more = true;
    while (more) {
        bool arrived = co_await receive_request();
        if (arrived) {
            more = co_await serve_request();
            continue;
        }
        more = false;
        if (refusal_) {
            Error error = refusal_->error;
            co_await refuse(refusal_->status, std::move(error));
        }
    }
    if (!gone_ && (pipelined_ || refusal_)) co_await linger();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

void Connection::begin_request() {
    request_.method.clear();
    request_.path.clear();
    request_.request_id.clear();
    if (request_.body.capacity() > body_bytes_kept_max) request_.body = std::string();
    request_.body.clear();
    head_ = std::string();
    head_scanned_ = 0;
    blank_skipped_ = false;
    chunks_.reset();
    body_bytes_ = 0;
    body_whole_ = false;
    head_only_ = false;
    status_ = 0;
    streaming_ = false;
    complete_ = false;
}

// True when a whole request is in request_. False: nothing more to serve; refusal_ says why, if
// the client is to be told.
net::awaitable<bool> Connection::receive_request() {
    begin_request();
    std::optional<RequestHead> head;
    std::string_view bytes;
    while (!head) {
        bool received = co_await receive(bytes);
        if (!received) {
            if (expired_ && !head_.empty())
                refused(408, Error(Errc::request_timeout,
                                   "the request's head did not arrive within " +
                                       std::to_string(io_.limits.header_ms) + " ms"));
            co_return false;
        }
        if (phase_ == Phase::idle) {
            phase_ = Phase::receiving;
            set_deadline(io_.limits.header_ms);
        }
        head = take_head(bytes);
        if (refusal_) co_return false;
    }
    if (!take_body(bytes)) co_return false;
    if (body_whole_) co_return true;
    co_return co_await receive_body(*head);
}

net::awaitable<bool> Connection::receive_body(RequestHead head) {
    set_deadline(io_.limits.body_ms);
    if (head.expects_continue && !http_1_0_ && request_.body.empty()) {
        bool sent = co_await transmit(go_on, std::string_view(), std::string_view());
        if (!sent) co_return false;
        set_deadline(io_.limits.body_ms);
    }
    while (!body_whole_) {
        std::string_view bytes;
        bool received = co_await receive(bytes);
        if (!received) {
            if (expired_)
                refused(408, Error(Errc::request_timeout,
                                   "the request's body did not arrive within " +
                                       std::to_string(io_.limits.body_ms) + " ms"));
            co_return false;
        }
        if (!take_body(bytes)) co_return false;
    }
    co_return true;
}

// The next bytes of the peer, in the io thread's input buffer: used before the next co_await.
net::awaitable<bool> Connection::receive(std::string_view& bytes) {
    for (;;) {
        if (gone_ || expired_) co_return false;
        // The server ends; a request that is here already is served.
        bool leaving = phase_ == Phase::idle && io_.draining;
        if (!watching_ || leaving) {
            ssize_t size = ::recv(socket_.native_handle(), io_.input.data(), io_.input.size(), 0);
            if (size > 0) {
                // Never two reads in a row: who is always faster must leave others their turn.
                if (!watching_) watch();
                bytes = std::string_view(io_.input.data(), static_cast<std::size_t>(size));
                co_return true;
            }
            if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
                gone_ = true;
                co_return false;
            }
            if (leaving) co_return false;
            watch();
        }
        co_await wakeup_.wait();
    }
}

bool Connection::refused(int status, Error error) {
    refusal_.emplace(status, std::move(error));
    return false;
}

// Reads the head once it is whole and leaves in `bytes` what follows it. Nothing yet, or a
// refusal_, otherwise.
std::optional<RequestHead> Connection::take_head(std::string_view& bytes) {
    if (!head_.empty()) {
        head_.append(bytes);
        bytes = head_;
    }
    auto size = head_bytes(bytes, head_scanned_);
    if (size && *size == 2 && !blank_skipped_) {  // some old clients send one after a body
        blank_skipped_ = true;
        head_scanned_ = 0;
        bytes.remove_prefix(2);
        if (!head_.empty()) head_.erase(0, 2);
        if (!head_.empty()) bytes = head_;
        size = head_bytes(bytes, head_scanned_);
    }
    if (!size) {
        refused(400, size.error());
        return {};
    }
    if (*size > io_.limits.header_bytes_max ||
        (*size == 0 && bytes.size() >= io_.limits.header_bytes_max)) {
        refused(431, Error(Errc::request_too_large,
                           "the request's head is over the limit of " +
                               std::to_string(io_.limits.header_bytes_max) + " bytes"));
        return {};
    }
    if (*size == 0) {
        if (head_.empty()) head_ = bytes;
        return {};
    }
    auto head = read_head(bytes.substr(0, *size), request_);
    if (!head) {
        Errc code = head.error().code;
        refused(code == Errc::request_too_large ? 431 : error_row(code).status, head.error());
        return {};
    }
    bytes.remove_prefix(*size);
    set_request_id();
    http_1_0_ = head->http_1_0;
    keep_alive_ = head->keep_alive;
    request_.from_loopback = peer_is_loopback_ && !head->forwarded;
    head_only_ = request_.method == "HEAD";
    if (head_only_) request_.method = "GET";
    body_bytes_ = head->content_length;
    if (head->bad_expectation)
        refused(417, Error(Errc::invalid_request, "the only expectation met is '100-continue'"));
    if (body_bytes_ > io_.limits.body_bytes_max)
        refused(413, Error(Errc::request_too_large, "the body of " + std::to_string(body_bytes_) +
                                                        " bytes is over the limit of " +
                                                        std::to_string(io_.limits.body_bytes_max) +
                                                        " bytes"));
    if (head->chunked) chunks_.emplace(io_.limits.body_bytes_max, io_.limits.header_bytes_max);
    return *head;
}

// Adds to the body. False when it must be refused.
bool Connection::take_body(std::string_view bytes) {
    std::string& body = request_.body;
    if (chunks_) {
        auto fed = chunks_->feed(bytes, body);
        if (!fed) return refused(error_row(fed.error().code).status, fed.error());
        body_whole_ = chunks_->done();
    } else {
        if (body.empty() && body_bytes_ > 0)
            body.reserve(std::min(body_bytes_, body_bytes_at_once_max) + parser_padding_bytes);
        std::size_t taken = std::min(bytes.size(), body_bytes_ - body.size());
        body.append(bytes.substr(0, taken));
        bytes.remove_prefix(taken);
        body_whole_ = body.size() == body_bytes_;
    }
    if (!bytes.empty()) pipelined_ = true;
    return true;
}

void Connection::set_request_id() {
    std::string_view given = request_.header("x-request-id");
    if (is_sane_id(given)) {
        request_.request_id = given;
    } else {
        request_.request_id = make_request_id(io_.random);
    }
}

// True when the connection may carry another request.
net::awaitable<bool> Connection::serve_request() {
    phase_ = Phase::serving;
    clear_deadline();
    head_ = std::string();
    stop_.emplace();
    if (!watching_) watch();
    std::string fault = "the request was not answered";
    try {
        co_await io_.serve(request_, *this);
    } catch (const std::exception& error) {  // a bug: this request fails, the service goes on
        fault = error.what();
    }
    if (!complete_ && !gone_) {
        log_error("serve_failed",
                  {{"request_id", request_.request_id}, {"path", request_.path}, {"error", fault}});
        // A begun answer can only be cut, so that the client sees that it is not whole.
        if (begun()) co_return false;
        keep_alive_ = false;
        co_await refuse(500, Error(Errc::internal,
                                   "the gateway failed on this request; its "
                                   "x-request-id finds the reason in the log"));
    }
    // Where the server ends and the client was not told in time, what it has sent already counts.
    bool more = complete_ && keep_alive_ && !gone_ && !pipelined_;
    if (more) {
        phase_ = Phase::idle;
        set_deadline(io_.limits.idle_ms);
    }
    co_return more;
}

// Answers with the error in the client's dialect; the connection closes after it.
net::awaitable<void> Connection::refuse(int status, Error error) {
    clear_deadline();
    expired_ = false;
    keep_alive_ = false;
    if (request_.request_id.empty()) request_.request_id = make_request_id(io_.random);
    Headers headers;
    std::string body = refusal_body(request_.path, error, request_.request_id);
    co_await send(status, "application/json", headers, body);
}

// Reads on for a moment, so that the answer is not lost to the reset that a close with unread
// bytes would cause.
net::awaitable<void> Connection::linger() {
    ::shutdown(socket_.native_handle(), SHUT_WR);
    phase_ = Phase::lingering;
    set_deadline(linger_ms);
    std::size_t bytes_left = io_.limits.body_bytes_max;
    std::string_view bytes;
    bool received = true;
    while (received && bytes.size() <= bytes_left) {
        bytes_left -= bytes.size();
        received = co_await receive(bytes);
    }
}

void Connection::watch() {
    watching_ = true;
    auto self = shared_from_this();
    socket_.async_wait(Socket::wait_read, [self](const boost::system::error_code& error) {
        self->watching_ = false;
        if (error) return;
        if (self->phase_ != Phase::serving) {
            self->wakeup_.wake();
        } else if (!self->complete_) {
            self->look_at_peer();
        }
    });
}

// Something came while a request is being served: the end, or bytes that should have waited.
void Connection::look_at_peer() {
    while (dropped_bytes_ < pipelined_bytes_max) {
        ssize_t size = ::recv(socket_.native_handle(), io_.input.data(), io_.input.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) {
            watch();
            return;
        }
        if (size <= 0) {
            lost();
            return;
        }
        pipelined_ = true;
        dropped_bytes_ += static_cast<std::size_t>(size);
    }
}

void Connection::lost() {
    gone_ = true;
    if (stop_ && !complete_) stop_->request();
    wakeup_.wake();
}

void Connection::expire() {
    clear_deadline();
    expired_ = true;
    wakeup_.wake();
}

void Connection::drain() {
    if (phase_ == Phase::idle) wakeup_.wake();
    if (phase_ != Phase::receiving) return;
    bool head_is_whole = request_.method.size() > 0;
    int left_ms = head_is_whole ? leave_body_ms : leave_head_ms;
    deadline_ = std::min(deadline_, Clock::now() + std::chrono::milliseconds(left_ms));
}

void Connection::abort() { lost(); }

}  // namespace sluice
