// What we call of cuBLASLt, found in the loaded library by name. The types are opaque handles and
// the numbers are the library's documented constants (cublasLt.h of CUDA 13).
#pragma once

#include <cuda_runtime_api.h>
#include <library_types.h>

#include <cstddef>
#include <cstdint>

namespace sluice::cuda {

using LtStatus = int;  // 0 is success
using LtHandle = struct LtContext*;
using LtDesc = struct LtDescOpaque*;
using LtLayout = struct LtLayoutOpaque*;
using LtPreference = struct LtPreferenceOpaque*;

struct LtAlgo {
    std::uint64_t data[8];
};
struct LtHeuristic {
    LtAlgo algo;
    std::size_t workspace_bytes;
    LtStatus state;
    float waves;
    int reserved[4];
};

namespace lt {
constexpr int compute_32f = 68;
constexpr std::int32_t op_transpose = 1;
constexpr int desc_trans_a = 3;
constexpr int preference_workspace_bytes = 1;
}  // namespace lt

struct LtApi {
    LtStatus (*create)(LtHandle*);
    LtStatus (*destroy)(LtHandle);
    LtStatus (*desc_create)(LtDesc*, int compute_type, cudaDataType_t scale_type);
    LtStatus (*desc_destroy)(LtDesc);
    LtStatus (*desc_set)(LtDesc, int attribute, const void* value, std::size_t bytes);
    LtStatus (*layout_create)(LtLayout*, cudaDataType_t type, std::uint64_t rows,
                              std::uint64_t columns, std::int64_t stride);
    LtStatus (*layout_destroy)(LtLayout);
    LtStatus (*preference_create)(LtPreference*);
    LtStatus (*preference_destroy)(LtPreference);
    LtStatus (*preference_set)(LtPreference, int attribute, const void* value, std::size_t bytes);
    LtStatus (*heuristic)(LtHandle, LtDesc, LtLayout a, LtLayout b, LtLayout c, LtLayout d,
                          LtPreference, int asked, LtHeuristic* out, int* found);
    LtStatus (*matmul)(LtHandle, LtDesc, const void* alpha, const void* a, LtLayout a_layout,
                       const void* b, LtLayout b_layout, const void* beta, const void* c,
                       LtLayout c_layout, void* d, LtLayout d_layout, const LtAlgo*,
                       void* workspace, std::size_t workspace_bytes, cudaStream_t);
};

}  // namespace sluice::cuda
