// measure_read_limit: what a step must read, from the file, and how fast, from the machine.
#include "engine/cpu/cpu_device.h"
#include "engine/engine.h"
#include "engine/model/gguf.h"
#include "engine/model/network.h"

namespace sluice {

Result<ReadLimit> measure_read_limit(const EngineOptions& options) {
    if (options.device != "cpu")
        return Error(Errc::bad_config, "device must be 'cpu', got '" + options.device + "'");
    auto file = GgufFile::open(options.model_path);
    if (!file) return file.error();
    auto network = describe_network(**file);
    if (!network) return network.error();
    ReadLimit limit;
    for (const GgufTensor& tensor : (*file)->tensors()) {
        bool gathered = tensor.name == "token_embd.weight" && !network->tied_embeddings;
        if (!gathered) limit.weight_bytes += tensor.bytes;
    }
    limit.kv_token_bytes = std::int64_t{2} * network->layers * network->kv_width() * 2;  // halves
    auto speed = measure_cpu_read_bandwidth(options.threads);
    if (!speed) return speed.error();
    limit.bytes_per_second = *speed;
    return limit;
}

}  // namespace sluice
