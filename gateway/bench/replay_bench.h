// How long a replay takes: a ledger is written to a folder of its own, gone afterwards, and read
// again as `sluice replay` reads it.
#pragma once

#include <cstdint>

#include "engine/result.h"

namespace sluice::bench {

struct ReplayTiming {
    std::int64_t requests = 0;  // replayed; a row each, of 20 teams and three tiers
    std::int64_t moved = 0;     // to another tier
    double write_s = 0;
    double replay_s = 0;
};

// Errors: what the ledger says, and internal where a replay lost a row.
Result<ReplayTiming> time_replay(std::int64_t requests);

}  // namespace sluice::bench
