// The next token of each sequence, chosen on the device, and what the router reads beside it.
// Same meaning and order as engine/sampler.h: bias and penalties, temperature, min_p, top_k, top_p
// over the mass that those left, then the draw. Weights are counted in whole numbers (2^-40 of the
// best token's), so that sums have no order and the same inputs give the same token. A cutoff by
// top_k or top_p keeps what lies within 2^-17 nats of it, where engine/sampler.h cuts between ties.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace sluice::cuda {

constexpr int top_logprobs_max = 20;

struct SampleParams {
    float temperature = 0.0F;  // below 1e-5: greedy
    float top_p = 1.0F;
    float min_p = 0.0F;
    std::int32_t top_k = 0;  // 0 = off
    std::uint64_t draw = 0;
    std::int32_t slot = 0;          // where last_token is written
    std::int32_t adjust_begin = 0;  // its adjustments: [begin, end)
    std::int32_t adjust_end = 0;
    std::int32_t top_logprobs = -1;  // how many are wanted beside the chosen one's
    std::int32_t think_end = -1;     // whose logprob is told; -1 = none
};

// logit = penalised(logit + bias) - subtract, where penalised divides by `repetition` above 0 and
// multiplies below. One a token of a sequence.
struct LogitAdjust {
    std::int32_t token = 0;
    float bias = 0.0F;
    float repetition = 1.0F;
    float subtract = 0.0F;
};

struct SampleResult {
    std::int32_t token = 0;
    float logprob = 0.0F;  // of the chosen token, raw logits at temperature 1
    float entropy = 0.0F;  // nats
    float margin = 0.0F;
    std::int32_t failed = 0;         // a NaN or +inf, or nothing finite
    float think_end_logprob = 0.0F;  // NaN: no token was named
    float probe = 0.0F;              // as SampleArguments::probe; NaN without it
};

struct TopLogprob {
    std::int32_t token = 0;
    float logprob = 0.0F;
};

struct SampleArguments {
    float* logits = nullptr;  // f32 [S, stride], adjusted in place
    int stride = 0;
    int V = 0;  // logits of a row; ids from V on are padding
    int S = 0;
    const SampleParams* params = nullptr;  // [S] device
    LogitAdjust* adjustments = nullptr;    // device; `bias` becomes the token's logit before it
    bool any_adjusted = false;
    int top_logprobs = 0;                // the most that any sequence wants; 0: none computed
    SampleResult* results = nullptr;     // [S] device
    TopLogprob* top = nullptr;           // [S, top_logprobs_max] device, best first
    const float* probe = nullptr;        // [S] device, handed on; nullptr: none
    std::int32_t* last_token = nullptr;  // [slots]
    void* workspace = nullptr;           // sample_workspace_bytes(S)
};

std::size_t sample_workspace_bytes(int S);
void sample(const SampleArguments& arguments, cudaStream_t stream);

}  // namespace sluice::cuda
