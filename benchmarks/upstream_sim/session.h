// Serves connections: the vendors' endpoints, and /sim/ for tests to set faults and read counters:
//   POST /sim/faults {"directive":"fault=429 retry_after=1","count":2,"model":"sim-reasoner"}
//        for the next `count` calls (1) of that model (any); count 0 forgets all
//   GET  /sim/stats  {"connections","requests","open","completed","aborted","faulted","tokens"}
//   GET  /sim/wait?open=0&requests=5&aborted=1&timeout_ms=10000
//        answers with the stats as soon as open is at most, and the others at least, these
// One io thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "benchmarks/upstream_sim/behaviour.h"
#include "benchmarks/upstream_sim/http.h"
#include "benchmarks/upstream_sim/wire.h"

namespace sluice::sim {

struct Stats {
    std::int64_t connections = 0;
    std::int64_t requests = 0;   // calls of a vendor's endpoint
    std::int64_t open = 0;       // of them being answered
    std::int64_t completed = 0;  // answered to the end
    std::int64_t aborted = 0;    // the client left before the end
    std::int64_t faulted = 0;    // refused or broken off on purpose
    std::int64_t tokens = 0;     // sent, in streams and whole answers
};

class Simulator {
public:
    Simulator(const net::any_io_executor& executor, Behaviour defaults);
    net::awaitable<void> serve(net::ip::tcp::socket socket);

private:
    struct Planned {  // a fault in waiting
        std::string directive;
        std::string model;  // "" = any
        std::int64_t left = 0;
    };
    enum class End { keep, close, reset };

    net::awaitable<End> answer(net::ip::tcp::socket& socket, const Request& request);
    net::awaitable<End> serve_call(net::ip::tcp::socket& socket, const Request& request,
                                   const Wire& wire);
    net::awaitable<End> wait_for(net::ip::tcp::socket& socket, const Request& request);
    Result<Behaviour> behaviour_for(const Request& request, const Call& call);
    std::string plan_faults(const Request& request, int& status);
    std::string stats_json() const;
    void changed() { changed_.cancel(); }

    Behaviour defaults_;
    Stats stats_;
    std::deque<Planned> planned_;
    std::uint64_t answers_ = 0;
    net::steady_timer changed_;  // cancelled when a counter moves
};

}  // namespace sluice::sim
