// What answers for a tier, as a text that changes when another model would: a tier is measured by
// its first upstream that can be called. Reads the engine's model file; any thread.
#pragma once

#include <string>
#include <vector>

#include "gateway/config.h"
#include "policies/golden/gate.h"

namespace sluice {

// The first upstream of the tier that can be called, or nullptr.
const Upstream* measured_upstream(const Config& config, const PolicyTier& tier);

// "engine/smollm2-135m sha256:0123456789abcdef kv:bf16", "anthropic/claude-opus-4-8 effort:low".
// Errors: bad_file (the model cannot be read).
Result<std::string> identity_of(const Config& config, const PolicyTier& tier);

// Every tier that can answer. Errors: those of identity_of.
Result<std::vector<ConfiguredTier>> configured_tiers(const Config& config);

// The tier that the whole policy chooses for each case, everything up, on a Monday at noon and in
// no canary; "" where it refuses.
std::vector<std::string> routed_tiers(const Config& config, const GoldenSet& set);

// Of a file, or all files of a folder: names, sizes, and 64 pieces of 64 KiB of each, evenly
// spread. Another model or quantisation differs in them; it is no proof against someone who means
// harm.
Result<std::string> model_digest(const std::string& path);

}  // namespace sluice
