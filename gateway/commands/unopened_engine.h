// For `explain`: the window of an engine that is not open, and what it would count of a prompt,
// from its model's file. One thread; reads the file's head and vocabulary.
#pragma once

#include <cstdint>
#include <vector>

#include "gateway/config.h"
#include "policies/route.h"

namespace sluice {

// As Fleet::count_prompt. Without `context_tokens_max` the window is the model's own; an engine
// with less memory has less. Leaves the views as they are where the file cannot be read.
void count_unopened(const EngineSection& engine, const Policy& policy, const RouteInput& input,
                    std::vector<UpstreamView>& views);

}  // namespace sluice
