// The network on the CPU: one step of several sequences' tokens, to the logits of those that want
// one. Holds the weights, the KV pages and the activations of a step, all taken at open.
// One user at a time: the engine thread, through CpuDevice.
// Letters: T tokens of the step, t tokens of a tile, H hidden, Q query heads, K kv heads, D head
// dim, F ffn, V vocab, P tokens a page.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "engine/cpu/compute_threads.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/lazy_memory.h"
#include "engine/cpu/packed_weights.h"
#include "engine/device.h"

namespace sluice {

struct ForwardLimits {
    int tokens_max = 0;     // of one step
    int sequences_max = 0;  // of one step
    std::int64_t pages = 0;
};

class Forward {
public:
    // `threads` must outlive it. Errors: bad_config (no memory).
    static Result<std::unique_ptr<Forward>> open(const NetworkDescription& network,
                                                 PackedWeights weights, const Kernels& kernels,
                                                 ForwardLimits limits, ComputeThreads& threads);

    // Runs the step's tokens. The step is within the limits and its page ids are valid.
    void run(std::span<const StepSequence> step);
    // Logits, as many as there are tokens, of the step's `index`-th sequence with .sample; the
    // caller may overwrite them.
    std::span<float> logits(int index);
    // Hidden state [H] after the final norm, of the same.
    std::span<const float> last_hidden(int index) const;
    // Between steps: forgets all keys and values, and the system has their memory back.
    void rest();

    std::int64_t weight_bytes() const { return static_cast<std::int64_t>(weights_.memory.bytes()); }
    std::int64_t kv_bytes() const { return static_cast<std::int64_t>(kv_.bytes()); }

private:
    // Consecutive tokens of one sequence.
    struct Run {
        const StepSequence* sequence;
        int token;  // index in the step of the first
        int count;
        int position;  // of the first
    };
    // Consecutive runs that go through a layer together, a layer's weights staying in the cache
    // from one tile to the next: what lies between the layers' ends is held for one tile only.
    struct Tile {
        int token;  // index in the step of the first
        int count;
        std::span<const Run> runs;
    };
    struct Product {
        const PackedMatrix* matrix;
        float* out;
        int stride;
        Into into = Into::replace;
    };

    Forward(const NetworkDescription& network, PackedWeights weights, const Kernels& kernels,
            ForwardLimits limits, ComputeThreads& threads);
    Status take_memory();
    void lay_out(std::span<const StepSequence> step);
    void lay_tiles();
    void embed();
    void attention(int layer, const Tile& tile);
    void feed_forward(int layer, const Tile& tile);
    void output();

    void normalise(const float* x, const float* weight, int count);
    // The rows of `x` [count, columns] become what the products after it read.
    void prepare(float* x, int columns, int token);
    void multiply(std::initializer_list<Product> products, float* x, int count);
    void place(int layer, const Tile& tile, int index);
    void attend(int layer, const Tile& tile, const Run& run, int kv_head);
    template <class Work>
    void each_token(int count, const Work& work);
    // The keys of one head in every page start here; its values follow.
    std::uint16_t* keys_of(int layer, int kv_head) const;

    NetworkDescription network_;
    PackedWeights weights_;
    const Kernels& kernels_;
    ForwardLimits limits_;
    ComputeThreads& threads_;
    std::vector<double> frequency_;  // [rope_dims / 2] radians a position
    std::size_t page_stride_ = 0;    // halves a page, all layers
    std::size_t head_stride_ = 0;    // halves one kv head's keys and values take in a page

    int tokens_ = 0;         // T
    int tile_max_ = 0;       // t: tokens of a tile
    std::vector<Run> runs_;  // pieces of the step for attention
    std::vector<Tile> tiles_;
    std::vector<TokenId> ids_;                          // [T]
    std::vector<int> position_;                         // [T]
    std::vector<std::span<const std::int32_t>> pages_;  // [T] of the token's sequence
    std::vector<int> sampled_;                          // tokens whose logits are wanted

    LazyMemory kv_;
    LazyMemory activations_;
    float* hidden_ = nullptr;  // [T, H] the residual stream
    float* cosine_ = nullptr;  // [T, rope_dims / 2]
    float* sine_ = nullptr;    // [T, rope_dims / 2]
    float* normed_ = nullptr;  // [t, H]
    float* qkv_ = nullptr;     // [t, (Q + 2 K) * D]
    float* mixed_ = nullptr;   // [t, Q * D]
    float* gate_ = nullptr;    // [t, F], in the place of qkv_ and mixed_, as is up_
    float* up_ = nullptr;      // [t, F]
    float* logits_ = nullptr;  // [sequences_max, V]
    Activations x_;            // what the next product reads
};

}  // namespace sluice
