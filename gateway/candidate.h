// A candidate policy that decides in the shadow: each request that the live policy has decided is
// decided by it, too, on the same facts. Nothing is called and nothing is changed by it; what it
// would have done is counted, kept with the decision in the ledger, and told on request.
#pragma once

#include "gateway/metrics.h"
#include "gateway/walk.h"
#include "policies/route.h"

namespace sluice {

// `route` is the live policy's decision on `input`; what the candidate chose is added to it.
// A request that is decided twice is counted once.
// Nothing where the configuration has no candidate in the shadow.
void decide_beside(Walk& walk, const RouteInput& input, FleetHealth health, Result<Route>& route,
                   Metrics& metrics);

}  // namespace sluice
