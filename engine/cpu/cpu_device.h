// A Device that computes on the machine's own cores. It copies the weights out of the ModelFile and
// needs it no more once open; it owns the KV pages and all else, taken at open.
#pragma once

#include <memory>

#include "engine/device.h"
#include "engine/model/network.h"

namespace sluice {

// Reads threads, sequences_max, context_tokens_max, kv_tokens and prefill_tokens_max of `options`.
// The environment's SLUICE_CPU_KERNELS (portable, avx2, avx512) overrules the choice of kernels.
// Errors: bad_config (an option out of range, no memory, no threads), bad_file.
Result<std::unique_ptr<Device>> open_cpu_device(const EngineOptions& options,
                                                std::shared_ptr<const ModelFile> file,
                                                const NetworkDescription& network);

// Bytes a second that `threads` (0 = all cores) read from memory, well past the caches.
Result<double> measure_cpu_read_bandwidth(int threads);

}  // namespace sluice
