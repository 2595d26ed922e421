// The scales of an fp8 KV cache: from keys and values as they are, of a text that is run once.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/cuda/forward.h"
#include "engine/cuda/kv_scale.h"
#include "engine/log.h"

namespace sluice::cuda {
namespace {

constexpr float largest_code = 448.0F;  // of e4m3
// Room for what the text does not show. It costs no precision: e4m3 keeps its relative error over
// four orders of magnitude.
constexpr float margin = 1.5F;
constexpr float largest_at_least = 1.0F;  // a head that the text leaves quiet may speak later

float scale_of(float largest) {
    if (!std::isfinite(largest)) return 1.0F;
    return std::max(largest * margin, largest_at_least) / largest_code;
}

// One cache in another's place while this lives, whatever fails meanwhile.
class InPlaceOf {
public:
    InPlaceOf(KvCache& one, KvCache& other) : one_(one), other_(other) { std::swap(one_, other_); }
    InPlaceOf(const InPlaceOf&) = delete;
    InPlaceOf& operator=(const InPlaceOf&) = delete;
    ~InPlaceOf() { std::swap(one_, other_); }

private:
    KvCache& one_;
    KvCache& other_;
};

}  // namespace

Status Forward::calibrate(const StepOnDevice& step, const StepSizes& sizes, cudaStream_t stream) {
    KvCache exact = kv_;
    exact.format = KvFormat::bf16;
    exact.scale = nullptr;
    exact.pages = (sizes.tokens + page_positions - 1) / page_positions;
    const auto bytes = static_cast<std::size_t>(
        exact.pages * kv_page_bytes(exact.format, exact.layers, exact.kv_heads, exact.head_dim));
    const auto heads = static_cast<std::size_t>(2 * exact.layers * exact.kv_heads);
    const DeviceMemory memory = take_device_memory(bytes);
    const DeviceMemory most = take_device_memory(heads * sizeof(float));
    if (!memory || !most)
        return Error(Errc::bad_config, "the GPU has no " + std::to_string(bytes >> 20) +
                                           " MiB left to find the scales of an fp8 KV cache with; "
                                           "lower kv_tokens");
    check(cudaMemsetAsync(memory.get(), 0, bytes, stream));
    exact.data = static_cast<std::uint8_t*>(memory.get());
    {
        const InPlaceOf swapped(kv_, exact);
        run(step, sizes, stream);
    }
    largest_in_kv(exact, sizes.tokens, static_cast<float*>(most.get()), stream);
    std::vector<float> scales(heads);
    check(cudaMemcpyAsync(scales.data(), most.get(), heads * sizeof(float), cudaMemcpyDeviceToHost,
                          stream));
    check(cudaStreamSynchronize(stream));
    float largest_key = 0.0F, largest_value = 0.0F;
    const auto kv_heads = static_cast<std::size_t>(exact.kv_heads);
    for (std::size_t i = 0; i < heads; ++i) {
        float& largest = i / kv_heads % 2 == 0 ? largest_key : largest_value;
        largest = std::max(largest, scales[i]);
        scales[i] = scale_of(scales[i]);
    }
    check(
        cudaMemcpy(kv_scale_.get(), scales.data(), heads * sizeof(float), cudaMemcpyHostToDevice));
    log_info("kv_calibrated", {{"tokens", sizes.tokens},
                               {"largest_key", static_cast<double>(largest_key)},
                               {"largest_value", static_cast<double>(largest_value)}});
    return Done{};
}

}  // namespace sluice::cuda
