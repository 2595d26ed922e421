// A Device that computes on the machine's own cores. It shares the GgufFile, owns the KV pages and
// everything else it needs, all taken at open: a step allocates nothing.
#pragma once

#include <memory>

#include "engine/device.h"
#include "engine/model/network.h"

namespace sluice {

// Reads threads, sequences_max, context_tokens_max, kv_tokens and prefill_tokens_max of `options`.
// Errors: bad_config (an option out of range), bad_file.
Result<std::unique_ptr<Device>> open_cpu_device(const EngineOptions& options,
                                                std::shared_ptr<const GgufFile> file,
                                                const NetworkDescription& network);

}  // namespace sluice
