// A step's matrix products: which way each is computed. A few tokens go through matmul_decode or
// matmul_codes, more of quantised weights through matmul_warpgroup, all of which read quantised
// weights as they are; many tokens of others through the library, and so do quantised weights where
// the device has no warpgroups: they are first written out as f16. The engine thread's alone.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "engine/cuda/gemm_library.h"
#include "engine/cuda/matmul_decode.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/products_plan.h"

namespace sluice::cuda {

class Products {
public:
    // `tokens_max` of a step. `one_way`: all through matmul_decode, so that a token's result does
    // not depend on T; many tokens then take longer. Errors: bad_config (no library, no memory).
    static Result<std::unique_ptr<Products>> open(const WeightsOnDevice& weights, int tokens_max,
                                                  bool one_way);

    // Activations in the order of arranged.h instead of plain rows.
    struct Arranged {
        bool x = false;
        bool out = false;    // of SwiGLU
        bool coded = false;  // x is in coded() instead
        Ahead ahead = {};
    };
    // As matmul_decode, for any T. x has buffer_rows(T) rows of padded_columns(), out
    // rows_of(T) of them.
    void multiply(std::initializer_list<Product> products, const void* x, int T, void* out,
                  int out_stride, Into into, float scale, Arranged arranged, cudaStream_t stream);

    // Whether these products of T tokens may have arranged activations, which saves a launch.
    bool take_arranged(std::initializer_list<Product> products, int T) const;

    // Whether these products of T tokens read activations as integers (coded.h), and where those
    // may be put instead of plain rows, which saves a launch.
    bool take_coded(std::initializer_list<Product> products, int T) const;
    std::uint8_t* coded() const { return static_cast<std::uint8_t*>(coded_.get()); }

    // Whether some products go through the library, which chooses its way for each size anew.
    bool has_library() const { return library_ != nullptr; }

    std::int64_t bytes() const { return bytes_; }

private:
    // Rows of several matrices that stand behind one another, as the library takes them.
    struct Joined {
        GemmType type = GemmType::f16;
        int rows = 0;
        int columns = 0;
        const void* w = nullptr;
        const float* row_scale = nullptr;
        int out_column = 0;
    };
    void multiply_codes(std::initializer_list<Product> products, const void* x, int T, void* out,
                        int out_stride, Into into, float scale, const Arranged& arranged,
                        cudaStream_t stream);
    void multiply_few(std::initializer_list<Product> products, const void* x, int T, void* out,
                      int out_stride, Into into, float scale, const Ahead& ahead,
                      cudaStream_t stream);
    void multiply_warpgroup(std::initializer_list<Product> products, const void* x, int T,
                            void* out, int out_stride, Into into, float scale, Arranged arranged,
                            cudaStream_t stream);
    void multiply_by_library(std::initializer_list<Product> products, const void* x, int T,
                             void* out, int out_stride, Into into, float scale,
                             cudaStream_t stream);
    void multiply_many(std::initializer_list<Product> products, const void* x, int T, void* out,
                       GemmType out_type, int out_stride, bool add, float scale,
                       cudaStream_t stream);
    void multiply_fp8(std::initializer_list<Product> products, const void* x, int T, void* out,
                      int out_stride, Into into, float scale, cudaStream_t stream);
    std::vector<Joined> join(std::initializer_list<Product> products, cudaStream_t stream);

    ProductsPlan plan_;
    std::unique_ptr<GemmLibrary> library_;  // nullptr: nothing goes through it
    DeviceMemory workspace_;                // matmul_decode's
    DeviceMemory warpgroup_workspace_;
    DeviceMemory arranged_;           // activations for matmul_warpgroup
    DeviceMemory coded_;              // activations for matmul_codes
    DeviceMemory scratch_;            // the matrices of one product as f16
    DeviceMemory gate_up_;            // f16 or bf16 [tokens_max, 2 F]; fp8: f32 of any product
    DeviceMemory codes_;              // fp8 [tokens_max, the widest columns]
    const void* codes_of_ = nullptr;  // the activations that codes_ holds, when they are SwiGLU's
    DeviceMemory code_scale_;         // f32 [tokens_max]
    std::int64_t bytes_ = 0;
};

}  // namespace sluice::cuda
