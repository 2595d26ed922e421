// The listening side: one acceptor and one io_context(1) on each io thread (SO_REUSEPORT spreads
// connections over them); a connection lives and dies on its own thread.
//
// Life: construct (contexts exist and may be given to others), start(), drain(), destroy.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine/result.h"
#include "gateway/reply.h"
#include "gateway/server_limits.h"

namespace sluice {

struct ServerOptions {
    std::string address = "127.0.0.1";  // an IPv4 or IPv6 address, no name
    int port = 8080;                    // 0 = any free one
    int io_threads = 1;
    ServerLimits limits;
    // Listening sockets to take over: those of this address and port serve in place of new ones.
    // start() closes the others; that all are others is an error, unless `may_move`.
    std::vector<int> inherited;
    bool may_move = false;
};

class Server {
public:
    explicit Server(const ServerOptions& options);
    ~Server();  // stops
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::size_t io_threads() const;
    // Not running before start(). Only its own thread runs what is posted to it.
    net::io_context& context(std::size_t io_thread);
    // Which io thread this is, from 0; -1 on any other thread.
    static int this_io_thread();

    // Binds, starts the io threads, calls `serve` for each request, on several threads at once.
    // Gives the bound address. Errors: bad_config (no such address, in use, not permitted).
    Result<net::ip::tcp::endpoint> start(Serve serve);

    // Stops accepting, closes idle connections, lets requests finish until `limit` has passed, then
    // stops the rest. Blocks; not for io threads. Gives the number of connections that were cut.
    // Where `kept` is given the listening sockets stay open, in it, with what waits in their
    // queues.
    std::size_t drain(std::chrono::milliseconds limit, std::vector<int>* kept = nullptr);

    // Ends the threads and what is still being served; the contexts stay until the end.
    void stop();

    std::size_t connections() const;  // open now
    // Whether start() could listen there, where nothing does yet. Errors: bad_config.
    static Status can_listen(const ServerOptions& options);

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace sluice
