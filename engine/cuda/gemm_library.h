// Large matrix products by cuBLASLt, which is loaded when a CUDA device is opened: a program built
// without it still runs on the CPU, and the kernels compile where only nvcc is installed.
// One user: the engine thread. A plan is chosen per shape, once, and kept.
// Interface and constants: NVIDIA cuBLASLt, stable across 12 and 13.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/result.h"

namespace sluice::cuda {

enum class GemmType { f16, bf16, fp8_e4m3, f32 };

// out[t, r] = alpha * sum_c x[t, c] * w[r, c] (+ out[t, r] with `add`), accumulated in f32.
//   w    weights type [rows, columns] row-major
//   x    weights type [T, columns]
//   out  out type [T, out_stride], rows of it used
// fp8: columns and rows multiples of 16; scales are the caller's (fp8.h).
struct Gemm {
    GemmType type = GemmType::f16;
    GemmType out_type = GemmType::f32;
    int rows = 0;
    int columns = 0;
    int T = 0;
    const void* w = nullptr;
    const void* x = nullptr;
    void* out = nullptr;
    int out_stride = 0;
    float alpha = 1.0F;
    bool add = false;
};

class GemmLibrary {
public:
    static constexpr std::size_t workspace_bytes = std::size_t{64} << 20;

    // Errors: bad_config, when libcublasLt.so is not found, saying where it was looked for, or the
    // device has no memory left for it.
    static Result<std::unique_ptr<GemmLibrary>> open();
    virtual ~GemmLibrary() = default;
    // Enqueues the product. Throws CudaFailure when the library has no way to do it.
    virtual void run(const Gemm& gemm, cudaStream_t stream) = 0;
};

}  // namespace sluice::cuda
