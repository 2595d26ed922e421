// Calls to upstreams over plain HTTP/1.1, on our own non-blocking sockets: for engines on loopback
// and private networks, where a call costs no more than its system calls. https is curl's.
// Thread: the io thread's alone; destroyed before its io_context. Never goes through a proxy.
//
// Connections are kept and used again, the newest first, up to 1,024 idle ones, each for 100 s.
// Where one breaks before any byte of the answer, the call fails with Error::kept_connection_lost:
// nobody can tell whether the peer took the request, so asking again is an attempt of its own, with
// its own row. Bytes wait in the socket until next() asks for them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gateway/transport.h"

namespace sluice {

class PlainBody;
class PlainConnection;

class PlainTransport final : public Transport {
public:
    explicit PlainTransport(net::io_context& io);
    ~PlainTransport() override;
    PlainTransport(const PlainTransport&) = delete;
    PlainTransport& operator=(const PlainTransport&) = delete;

    // "http://" URLs without user and password; anything else fails as upstream_failed.
    std::unique_ptr<BodyStream> start(HttpCall call) override;
    std::size_t calls() const override { return live_.size(); }

private:
    friend class PlainBody;
    friend class PlainConnection;
    using Idle = std::list<std::shared_ptr<PlainConnection>>;

    std::shared_ptr<PlainConnection> take_idle(const std::string& host);
    void keep(std::shared_ptr<PlainConnection> connection);
    void forget(PlainConnection& connection);  // an idle one

    net::io_context& io_;
    net::ip::tcp::resolver resolver_;
    std::vector<char> input_;                     // every connection reads here first
    std::unordered_map<std::string, Idle> idle_;  // by host:port, the newest last
    std::size_t idle_count_ = 0;
    std::unordered_set<PlainBody*> live_;
    std::unordered_map<PlainBody*, std::unique_ptr<BodyStream>> leaving_;
};

}  // namespace sluice
