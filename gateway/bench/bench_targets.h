// The servers that `sluice bench gateway` measures, started with configs of its own: no server at
// all, Debian's nginx as a plain reverse proxy, and this gateway with all that a request passes in
// service (keys, classifier, policy, prices, ledger, metrics).
#pragma once

#include <memory>
#include <string>

#include "engine/result.h"
#include "gateway/bench/gateway_bench.h"
#include "gateway/bench/load_client.h"
#include "gateway/bench/target_process.h"

namespace sluice::bench {

struct BenchTarget {
    std::string name;
    Target target;
    std::unique_ptr<TargetProcess> process;  // none for the direct call
};

// Starts the server of that name on `core`, in front of the upstream, and waits until it accepts.
// Errors: internal, with what it said.
Result<BenchTarget> start_target(const std::string& name, const GatewayBenchPlan& plan,
                                 int upstream_port, int core, const ScratchFolder& folder);

// The end of what a server wrote, for an error message.
std::string target_log(const ScratchFolder& folder, const std::string& name);

}  // namespace sluice::bench
