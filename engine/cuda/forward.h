// The network on the GPU: one step of several sequences' tokens, to the logits of those that want
// one. Holds the weights, the KV pages and the activations of a step, all taken at open; nothing is
// allocated in a step. The engine thread's alone, through CudaDevice. Letters: dims.h.
#pragma once

#include <memory>

#include "engine/cuda/attention.h"
#include "engine/cuda/products.h"
#include "engine/cuda/weights.h"

namespace sluice::cuda {

struct ForwardLimits {
    int tokens_max = 0;          // of one step
    int sequences_max = 0;       // of one step, and slots
    int context_max = 0;         // of one sequence, in tokens
    std::int64_t kv_tokens = 0;  // 0: all that the device's memory still holds
    KvFormat kv_format = KvFormat::bf16;
    bool batch_invariant = false;  // a token's bits do not depend on what runs beside it
};

// One step as it lies in device memory. Tokens that decode come first, one a sequence; then the
// runs of prompts, cut into tiles. Rows from T on up to the buffers' end are padding (slot -1).
struct StepOnDevice {
    const std::int32_t* token = nullptr;       // [T] below 0: last_token of its slot
    const std::int32_t* position = nullptr;    // [T]
    const std::int32_t* slot = nullptr;        // [T]
    const std::int32_t* sample_row = nullptr;  // [S]
    const Tile* tiles = nullptr;
    std::int32_t* last_token = nullptr;  // [slots]
};

// The step's sizes, which a captured graph is made for.
struct StepSizes {
    int tokens = 0;  // T
    int decode = 0;  // of them, the first ones
    int tiles = 0;
    int samples = 0;  // S
    int context = 0;  // what attend_decode's grid is made for

    bool all_choose() const { return samples == tokens; }
};

class Forward {
public:
    // All but the KV cache. Errors: bad_config (memory, library), bad_file.
    static Result<std::unique_ptr<Forward>> open(const ModelFile& file,
                                                 const NetworkDescription& network,
                                                 ForwardLimits limits, cudaStream_t stream);

    // The KV cache, once everything else has its memory. Errors: bad_config.
    Status take_kv(cudaStream_t stream);

    void run(const StepOnDevice& step, const StepSizes& sizes, cudaStream_t stream);
    // Runs a step of one sequence from its first token, whose pages are 0, 1, 2 ... in order, with
    // keys and values in bf16, and fixes the scales of the fp8 cache by what it saw. Before any
    // other step. Errors: bad_config (no memory).
    Status calibrate(const StepOnDevice& step, const StepSizes& sizes, cudaStream_t stream);

    // [S, H] after the final norm, f16 or bf16.
    const void* last_hidden() const { return normed_.get(); }
    bool last_hidden_is_bf16() const { return reads_bf16(weights_.output.format); }
    float* logits() const { return static_cast<float*>(logits_.get()); }  // [S, V]
    std::int32_t* page_table() const { return static_cast<std::int32_t*>(page_table_.get()); }
    int page_stride() const { return page_stride_; }
    const KvCache& kv() const { return kv_; }
    std::int64_t weight_bytes() const { return weights_.bytes; }
    std::int64_t bytes_streamed() const { return weights_.bytes_streamed; }
    std::int64_t kv_bytes() const { return kv_bytes_; }
    std::int64_t activation_bytes() const { return activation_bytes_; }
    std::int64_t product_bytes() const { return products_->bytes(); }

private:
    Forward(const NetworkDescription& network, WeightsOnDevice weights, ForwardLimits limits);
    Status take_memory();
    // Meets every size of product once, so that no request waits while the library's ways are
    // timed.
    std::vector<int> sizes_to_meet(int most) const;
    void meet_sizes(cudaStream_t stream);
    // What the second half of a layer works on. In the last layer these are the rows that choose a
    // token, if they are not all: of the others only keys and values are needed.
    struct Rows {
        float* hidden;
        const void* mixed;
        bool arranged;  // mixed
        int T;
    };
    Rows attend(int layer, const StepOnDevice& step, const StepSizes& sizes, cudaStream_t stream);
    bool picks(int layer, const StepSizes& sizes) const;  // of plain rows
    Rows picked(const StepOnDevice& step, const StepSizes& sizes, cudaStream_t stream);
    void finish_layer(int layer, const Rows& rows, cudaStream_t stream);
    // normed_ is `arranged` or plain.
    Products::Arranged norm(std::initializer_list<Product> products, const float* weight,
                            const float* hidden, int T, cudaStream_t stream);
    void multiply_query(const LayerOnDevice& layer, int T, Products::Arranged form,
                        cudaStream_t stream);
    void multiply_ffn(const LayerOnDevice& layer, const Matrix* next, float* hidden, int T,
                      Products::Arranged form, cudaStream_t stream);

    NetworkDescription network_;
    WeightsOnDevice weights_;
    ForwardLimits limits_;
    std::unique_ptr<Products> products_;
    KvCache kv_;
    std::int64_t kv_bytes_ = 0;
    std::int64_t activation_bytes_ = 0;
    int page_stride_ = 0;

    DeviceMemory kv_memory_;
    DeviceMemory kv_scale_;
    DeviceMemory page_table_;  // i32 [slots, page_stride]
    DeviceMemory frequency_;   // f32 [rope_dims / 2]
    DeviceMemory hidden_;      // f32 [T, H]
    DeviceMemory picked_;      // f32 [S, H]
    DeviceMemory normed_;      // f16 or bf16 [T, H]
    DeviceMemory qkv_;         // f32 [T, (Q + 2 K) D]
    DeviceMemory query_;       // bf16 [T, Q D]; then the picked rows of mixed_
    DeviceMemory mixed_;       // f16 or bf16 [T, Q D]
    DeviceMemory gated_;       // f16 or bf16 [T, F]
    DeviceMemory logits_;      // f32 [S, V]
    DeviceMemory attend_workspace_;
};

}  // namespace sluice::cuda
