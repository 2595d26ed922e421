// measure_read_limit: what a step must read, from the file, and how fast, from the machine.
#include "engine/cpu/cpu_device.h"
#if SLUICE_CUDA
#include "engine/cuda/cuda_device.h"
#endif
#include "engine/model/network.h"
#include "engine/open_model.h"

namespace sluice {
namespace {

Result<double> measure_bandwidth(const EngineOptions& options) {
    if (options.device == "cpu") return measure_cpu_read_bandwidth(options.threads);
#if SLUICE_CUDA
    if (options.device == "cuda") return measure_cuda_read_bandwidth();
#endif
    return no_such_device(options);
}

}  // namespace

Result<ReadLimit> measure_read_limit(const EngineOptions& options) {
    auto file = open_model(options);
    if (!file) return file.error();
    auto network = describe_network(**file);
    if (!network) return network.error();
    ReadLimit limit;
    for (const Tensor& tensor : (*file)->tensors()) {
        bool gathered = tensor.name == "token_embd.weight" && !network->tied_embeddings;
        if (!gathered) limit.weight_bytes += tensor.bytes;
    }
    const int value_bytes = options.device == "cuda" && options.kv_format == "fp8" ? 1 : 2;
    limit.kv_token_bytes = std::int64_t{2} * network->layers * network->kv_width() * value_bytes;
    auto speed = measure_bandwidth(options);
    if (!speed) return speed.error();
    limit.bytes_per_second = *speed;
    return limit;
}

}  // namespace sluice
