#include "tests/gateway/test_site.h"

#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>

namespace sluice::testing {

TestSite::TestSite(ServerLimits limits, int io_threads) {
    ServerOptions options;
    options.port = 0;
    options.io_threads = io_threads;
    options.limits = limits;
    server_ = std::make_unique<Server>(options);
    auto started = server_->start(
        [this](const HttpRequest& request, Reply& reply) { return serve(request, reply); });
    REQUIRE(started);
    port_ = started->port();
}

void TestSite::open_gate() {
    net::post(server_->context(0), [this] { gate_.wake(); });
}

bool TestSite::reached(const std::atomic<int>& count, int wanted) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (count.load() < wanted) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

net::awaitable<void> TestSite::serve_gate(Reply& reply) {
    Headers headers;
    co_await reply.begin_stream(200, "text/plain", headers);
    std::string first = "first";
    co_await reply.write(first);
    ++waiting;
    Stop::Watch watch(reply.stop(), [this] {
        ++left;
        gate_.wake();
    });
    co_await gate_.wait();
    std::string second = "second";
    co_await reply.write(second);
    co_await reply.end_stream();
}

net::awaitable<void> TestSite::serve_wait(Reply& reply) {
    auto wakeup = std::make_shared<Wakeup>();
    Stop::Watch watch(reply.stop(), [this, wakeup] {
        ++left;
        wakeup->wake();
    });
    ++waiting;
    co_await wakeup->wait();
}

net::awaitable<void> TestSite::serve(const HttpRequest& request, Reply& reply) {
    ++served;
    Headers headers;
    if (request.path == "/hello") {
        std::string body = "hello";
        co_await reply.send(200, "text/plain", headers, body);
    } else if (request.path == "/echo") {
        headers.emplace_back("x-loopback", request.from_loopback ? "yes" : "no");
        std::string body = request.method + " " + request.path + "?" + request.query + " " +
                           std::to_string(request.body.size()) + ":" + request.body;
        co_await reply.send(200, "text/plain", headers, body);
    } else if (request.path == "/stream") {
        co_await reply.begin_stream(200, "text/event-stream", headers);
        for (int i = 0; i < 10; ++i) {
            std::string piece = "piece " + std::to_string(i) + ";";
            co_await reply.write(piece);
        }
        co_await reply.end_stream();
    } else if (request.path == "/gate") {
        co_await serve_gate(reply);
    } else if (request.path == "/wait") {
        co_await serve_wait(reply);
    } else if (request.path == "/big") {
        std::string body(16'000'000, 'x');
        bool sent = co_await reply.send(200, "text/plain", headers, body);
        if (!sent) ++left;
    } else if (request.path == "/throw") {
        throw std::runtime_error("thrown by the test");
    } else if (request.path == "/cut") {
        co_await reply.begin_stream(200, "text/plain", headers);
        std::string piece = "half";
        co_await reply.write(piece);
    }
    ++returned;
}

std::string get(const std::string& path, const std::string& headers) {
    return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n";
}

std::string post(const std::string& path, const std::string& body, const std::string& headers) {
    return "POST " + path +
           " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           headers + "\r\n" + body;
}

}  // namespace sluice::testing
