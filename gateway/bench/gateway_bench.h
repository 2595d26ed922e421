// What the gateway costs beside nginx and beside nothing: the phases of `sluice bench gateway`.
// Each server runs on one core, the load and the scripted upstream on another, one server at a
// time, in turns; ratios are taken inside a turn, so that a slow minute of the machine falls on
// all. Every answer is checked; a wrong one ends the run.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/result.h"

namespace sluice::bench {

struct GatewayBenchPlan {
    int turns = 3;
    int connections = 64;      // of the request phase, each with one request under way
    double seconds = 2;        // of the request phase
    int streams = 200;         // of the token phase, at once
    int tokens = 100;          // a stream
    int gap_us = 20'000;       // between two tokens of a stream
    int open_streams = 1'000;  // of the memory phase
    std::string nginx;         // path; "" leaves it out
    std::string sluice;        // path of this program; "" leaves the gateway out
};

// Of one server in one turn. The direct call has no server: its CPU and memory figures are 0.
struct ServerFigures {
    double requests_per_s = 0;
    double request_cpu_us = 0;
    double request_user_us = 0;  // of it in user space
    double core_share = 0;       // of its core, while saturated
    double answer_us = 0;        // median, one connection
    double first_token_us = 0;   // median, one connection
    double token_cpu_us = 0;
    double events_per_token = 0;  // 1 = nothing was joined
    double stream_kib = 0;        // resident memory an open stream
};

using Turn = std::map<std::string, ServerFigures>;  // "direct", "nginx", "gateway"

// Errors: internal, saying which server failed at what.
Result<std::vector<Turn>> run_gateway_bench(const GatewayBenchPlan& plan);

double median(std::vector<double> values);

}  // namespace sluice::bench
