// A Device that computes on an NVIDIA GPU. It copies the weights out of the ModelFile and needs it
// no more once open; all device memory is taken at open.
#pragma once

#include <memory>

#include "engine/device.h"
#include "engine/model/network.h"

namespace sluice {

// Reads sequences_max, context_tokens_max, kv_tokens, kv_format, kv_swap_tokens,
// prefill_tokens_max, batch_invariant, probe and step_ms_max of `options`. Uses the first GPU that
// CUDA_VISIBLE_DEVICES leaves. Errors: bad_config (no GPU, too little memory, an option out of
// range, cuBLASLt not found), bad_file, device_failed.
Result<std::unique_ptr<Device>> open_cuda_device(const EngineOptions& options,
                                                 std::shared_ptr<const ModelFile> file,
                                                 const NetworkDescription& network);

// Bytes a second that the GPU reads from its memory, measured now.
Result<double> measure_cuda_read_bandwidth();

}  // namespace sluice
