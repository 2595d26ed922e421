// One client connection: reads requests, has them served one after the other, writes the answers.
// Plain HTTP/1.1 and 1.0; TLS ends in front of the gateway. All of it on one io thread.
//
// Sockets are read and written by plain non-blocking calls first; Asio only waits for readiness.
// One read watch a request serves twice: it notices a client that leaves while its request is
// served, and afterwards waits for the next request. Time limits are looked at by one coarse tick
// an io thread, so no request arms a timer.
//
// Pipelining is refused: bytes that arrive before an answer is complete are dropped, and the
// connection closes after that answer. A peer that closes its sending side counts as gone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "gateway/http_chunks.h"
#include "gateway/http_head.h"
#include "gateway/reply.h"
#include "gateway/server_limits.h"
#include "gateway/wakeup.h"

namespace sluice {

class Connection;

// What the connections of one io thread share; only that thread touches it.
struct IoThread {
    explicit IoThread(const ServerLimits& limits_in);
    ServerLimits limits;
    Serve serve;
    std::vector<char> input;  // every connection reads here first
    std::string output;       // and formats heads here
    std::list<Connection*> connections;
    std::mt19937_64 random;
    bool draining = false;
    net::io_context context{1};  // last: what waits in it goes before what it refers to
};

using Socket = net::basic_stream_socket<net::ip::tcp, net::io_context::executor_type>;

// Serves `socket` until the connection ends.
net::awaitable<void> serve_connection(IoThread& io, Socket socket);

class Connection final : public Reply, public std::enable_shared_from_this<Connection> {
public:
    using Clock = std::chrono::steady_clock;

    Connection(IoThread& io, Socket socket);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    net::awaitable<void> run();
    bool late(Clock::time_point now) const { return now >= deadline_; }
    void expire();  // its deadline has passed
    void drain();   // closes if idle; otherwise the current answer is the last
    void abort();   // stops the request being served and closes
    void drop() { wakeup_.drop(); }

    net::awaitable<bool> send(int status, std::string_view content_type, const Headers& headers,
                              const std::string& body) override;
    net::awaitable<bool> begin_stream(int status, std::string_view content_type,
                                      const Headers& headers) override;
    net::awaitable<bool> write(const std::string& bytes) override;
    net::awaitable<bool> end_stream() override;
    bool begun() const override { return status_ != 0; }
    int status() const override { return status_; }
    Stop& stop() override { return *stop_; }

private:
    enum class Phase { idle, receiving, serving, lingering };
    struct Refusal {
        int status;
        Error error;
    };

    net::awaitable<bool> receive_request();
    net::awaitable<bool> receive_body(RequestHead head);
    net::awaitable<bool> receive(std::string_view& bytes);
    std::optional<RequestHead> take_head(std::string_view& bytes);
    bool take_body(std::string_view bytes);
    net::awaitable<bool> serve_request();
    net::awaitable<void> refuse(int status, Error error);
    net::awaitable<void> linger();
    net::awaitable<bool> transmit(std::string_view first, std::string_view second,
                                  std::string_view third);
    net::awaitable<bool> flush();

    void begin_request();
    void set_request_id();
    std::string_view format_head(int status, std::string_view content_type, const Headers& headers,
                                 std::optional<std::size_t> content_length);
    void watch();
    void look_at_peer();
    void lost();
    void set_deadline(int ms) { deadline_ = Clock::now() + std::chrono::milliseconds(ms); }
    void clear_deadline() { deadline_ = Clock::time_point::max(); }
    bool refused(int status, Error error);

    IoThread& io_;
    Socket socket_;
    std::list<Connection*>::iterator place_;
    bool peer_is_loopback_ = false;

    Phase phase_ = Phase::receiving;
    Wakeup wakeup_;
    Clock::time_point deadline_ = Clock::time_point::max();
    bool expired_ = false;
    bool watching_ = false;  // a read watch is out, and the socket had nothing to read before it
    bool gone_ = false;      // the peer left, or is taken for it

    HttpRequest request_;
    std::string head_;  // an unfinished head
    std::size_t head_scanned_ = 0;
    bool blank_skipped_ = false;
    std::optional<ChunkReader> chunks_;
    std::size_t body_bytes_ = 0;  // Content-Length
    bool body_whole_ = false;
    std::optional<Refusal> refusal_;

    bool http_1_0_ = false;
    bool keep_alive_ = true;
    bool head_only_ = false;  // HEAD: the body stays here
    bool pipelined_ = false;  // bytes came before the answer was complete
    std::size_t dropped_bytes_ = 0;
    int status_ = 0;
    bool streaming_ = false;
    bool complete_ = false;  // the answer is with the kernel
    std::optional<Stop> stop_;
    std::string unsent_;
};

}  // namespace sluice
