// SwiGLU, silu(gate) * up, where the values are at hand.
#pragma once

#include "engine/cuda/dims.h"

namespace sluice::cuda {

__device__ inline float silu(float value) { return value / (1.0F + __expf(-value)); }

// Of sums of gate and up that are still to be scaled, divided by swiglu_scale: in fewer
// instructions, for kernels that have many to do at once.
struct Gated {
    float exponent, factor;
    __device__ explicit Gated(float scale)
        : exponent(-log2_of_e * scale), factor(scale * scale / swiglu_scale) {}
    __device__ float operator()(float gate, float up) const {
        float power, share;
        asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(gate * exponent));
        asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(share) : "f"(1.0F + power));
        return gate * up * factor * share;
    }

private:
    static constexpr float log2_of_e = 1.4426950408889634F;
};

}  // namespace sluice::cuda
