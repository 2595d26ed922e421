#if defined(__x86_64__)
#include "engine/cpu/simd_avx512.h"

#include "engine/cpu/attention_kernels.h"
#include "engine/cpu/matmul_kernels.h"

namespace sluice {

const Kernels& avx512_kernels() {
    static constexpr Kernels kernels = kernels_of<Avx512>("avx512");
    return kernels;
}

}  // namespace sluice
#endif
