// A scripted HTTP/1.1 peer on a free port of 127.0.0.1: each connection's n-th request is answered
// by the next script. Runs on the test's own io_context; nothing sleeps.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::fake {

namespace net = boost::asio;
using net::ip::tcp;

enum class Then { keep, close, reset, hold };

struct Script {
    std::vector<std::string> writes;  // each its own write
    Then then = Then::keep;           // hold: waits until the client closes
};

class ScriptedUpstream {
public:
    explicit ScriptedUpstream(net::io_context& io)
        : acceptor_(io, tcp::endpoint(net::ip::make_address("127.0.0.1"), 0)) {
        net::co_spawn(io, accept(), net::detached);
    }
    void add(Script script) { scripts_.push_back(std::move(script)); }
    std::string url(const std::string& path = "/") const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + path;
    }
    void stop() { acceptor_.close(); }

    std::function<void()> after_writes;
    bool echo_counts = false;  // no scripts: a body "N" is answered by N events, a chunk each
    int connections = 0;
    int closed_by_client = 0;
    std::vector<std::string> requests;  // head and body

private:
    static constexpr auto use_tuple = net::as_tuple(net::use_awaitable);

    net::awaitable<void> accept() {
        for (;;) {
            auto [ec, socket] = co_await acceptor_.async_accept(use_tuple);
            if (ec) co_return;
            ++connections;
            socket.set_option(tcp::no_delay(true));
            net::co_spawn(acceptor_.get_executor(), serve(std::move(socket)), net::detached);
        }
    }

    net::awaitable<void> serve(tcp::socket socket) {
        std::string bytes;
        for (;;) {
            auto [ec, head] = co_await net::async_read_until(socket, net::dynamic_buffer(bytes),
                                                             "\r\n\r\n", use_tuple);
            if (ec) {
                ++closed_by_client;
                co_return;
            }
            std::size_t total = head + content_length(bytes.substr(0, head));
            if (bytes.size() < total) {
                std::size_t more = total - bytes.size();
                auto [ec2, n] = co_await net::async_read(socket, net::dynamic_buffer(bytes),
                                                         net::transfer_exactly(more), use_tuple);
                if (ec2) co_return;
            }
            requests.push_back(bytes.substr(0, total));
            bytes.erase(0, total);
            if (echo_counts) scripts_.push_back(counted(std::stoi(requests.back().substr(head))));
            if (scripts_.empty()) co_return;
            Script script = std::move(scripts_.front());
            scripts_.pop_front();
            for (const std::string& piece : script.writes) {
                auto [ec3, n] = co_await net::async_write(socket, net::buffer(piece), use_tuple);
                if (ec3) {
                    ++closed_by_client;
                    co_return;
                }
            }
            if (after_writes) after_writes();
            if (script.then == Then::close) co_return;
            if (script.then == Then::reset) {
                socket.set_option(net::socket_base::linger(true, 0));
                socket.close();  // here: the destructor would not send a reset
                co_return;
            }
        }
    }

    static Script counted(int events);

    static std::size_t content_length(std::string head) {
        for (char& c : head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        std::size_t at = head.find("content-length:");
        return at == std::string::npos ? 0 : std::stoul(head.substr(at + 15));
    }

    tcp::acceptor acceptor_;
    std::deque<Script> scripts_;
};

inline std::string whole(int status, const std::string& type, const std::string& body,
                         const std::string& more_headers = {}) {
    return "HTTP/1.1 " + std::to_string(status) + " Text\r\ncontent-type: " + type +
           "\r\ncontent-length: " + std::to_string(body.size()) + "\r\n" + more_headers + "\r\n" +
           body;
}

inline std::string stream_head(const std::string& type = "text/event-stream") {
    return "HTTP/1.1 200 OK\r\ncontent-type: " + type + "\r\ntransfer-encoding: chunked\r\n\r\n";
}

inline std::string chunk(const std::string& bytes) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    return size + bytes + "\r\n";
}

inline const std::string last_chunk = "0\r\n\r\n";

inline Script ScriptedUpstream::counted(int events) {
    Script script;
    script.writes.push_back(stream_head());
    for (int i = 0; i < events; ++i) {
        script.writes.push_back(chunk("data: " + std::to_string(i) + "\n\n"));
    }
    script.writes.push_back(last_chunk);
    return script;
}

}  // namespace sluice::fake
