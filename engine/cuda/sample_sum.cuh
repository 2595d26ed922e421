// What a row of logits adds up to: its best, its mass and its entropy, of pieces in any order.
#pragma once

#include <cfloat>

namespace sluice::cuda {

// The sum of a piece of a row, and of rows when put together.
struct RowSum {
    float top = -FLT_MAX;  // the greatest logit
    float second = -FLT_MAX;
    float mass = 0.0F;      // sum exp(l - top)
    float moment = 0.0F;    // sum (l - top) exp(l - top)
    int best = 0x7FFFFFFF;  // the lowest id that has the greatest logit
    int bad = 0;
};

__device__ RowSum merged(const RowSum& a, const RowSum& b) {
    RowSum out;
    const bool first = a.top > b.top || (a.top == b.top && a.best < b.best);
    const RowSum& high = first ? a : b;
    const RowSum& low = first ? b : a;
    out.top = high.top;
    out.best = high.best;
    out.second = fmaxf(high.second, low.top);
    const float shift = low.top - high.top;  // <= 0; far below, nothing is left of `low`
    const float factor = shift > -80.0F ? __expf(shift) : 0.0F;
    out.mass = high.mass + factor * low.mass;
    out.moment = high.moment + factor * (low.moment + (factor > 0 ? shift : 0.0F) * low.mass);
    out.bad = a.bad | b.bad;
    return out;
}

__device__ RowSum shuffled(const RowSum& sum, int step) {
    RowSum out;
    out.top = __shfl_xor_sync(~0U, sum.top, step);
    out.second = __shfl_xor_sync(~0U, sum.second, step);
    out.mass = __shfl_xor_sync(~0U, sum.mass, step);
    out.moment = __shfl_xor_sync(~0U, sum.moment, step);
    out.best = __shfl_xor_sync(~0U, sum.best, step);
    out.bad = __shfl_xor_sync(~0U, sum.bad, step);
    return out;
}

// The sum over a block, in every thread.
template <int threads>
__device__ RowSum block_sum(RowSum sum, RowSum* shared) {
    for (int step = 1; step < 32; step *= 2) sum = merged(sum, shuffled(sum, step));
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = shared[0];
    for (int i = 1; i < threads / 32; ++i) sum = merged(sum, shared[i]);
    return sum;
}

template <int threads>
__device__ RowSum row_sum(const float* row, int begin, int end, RowSum* shared) {
    RowSum sum;
    for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += threads) {
        const float logit = row[i];
        if (!(logit < INFINITY)) {  // NaN or +inf
            sum.bad = 1;
            continue;
        }
        if (logit == -INFINITY) continue;
        if (logit > sum.top) {
            const float factor = sum.mass > 0 ? __expf(sum.top - logit) : 0.0F;
            if (sum.mass > 0) sum.moment = factor * (sum.moment + (sum.top - logit) * sum.mass);
            sum.second = sum.top;
            sum.mass = sum.mass * factor + 1.0F;
            sum.top = logit;
            sum.best = i;
        } else {
            const float shift = logit - sum.top;
            const float weight = __expf(shift);
            sum.mass += weight;
            sum.moment += shift * weight;
            sum.second = fmaxf(sum.second, logit);
        }
    }
    return block_sum<threads>(sum, shared);
}

}  // namespace sluice::cuda
