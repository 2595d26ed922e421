// A server on a free port of 127.0.0.1 with a few paths to be tested through:
//   /hello     "hello"
//   /echo      method, path, query, body length and body, as one text
//   /stream    ten pieces "piece N;", one chunk each
//   /gate      begins a stream, writes "first", waits for open_gate(), writes "second"
//   /wait      answers nothing until its client leaves; then counts it in `left`
//   /big       16 MB of 'x';  /throw  throws;  /silent  returns without an answer
//   /cut       begins a stream and returns without ending it
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "gateway/server.h"
#include "gateway/wakeup.h"
#include "tests/gateway/raw_client.h"

namespace sluice::testing {

class TestSite {
public:
    explicit TestSite(ServerLimits limits = ServerLimits(), int io_threads = 1);

    Server& server() { return *server_; }
    int port() const { return port_; }
    void open_gate();
    // Waits until `count` has reached `wanted`; false after 60 s.
    static bool reached(const std::atomic<int>& count, int wanted);

    std::atomic<int> served{0};   // requests handed to the code above the server
    std::atomic<int> left{0};     // requests whose stop was requested
    std::atomic<int> waiting{0};  // requests that arrived at /wait or /gate
    std::atomic<int> returned{0};

private:
    net::awaitable<void> serve(const HttpRequest& request, Reply& reply);
    net::awaitable<void> serve_gate(Reply& reply);
    net::awaitable<void> serve_wait(Reply& reply);
    Wakeup gate_;
    std::unique_ptr<Server> server_;  // last: its threads end before what they use
    int port_ = 0;
};

// "GET PATH HTTP/1.1" with a Host header and `headers` (each ending in CR LF).
std::string get(const std::string& path, const std::string& headers = "");
std::string post(const std::string& path, const std::string& body, const std::string& headers = "");

}  // namespace sluice::testing
