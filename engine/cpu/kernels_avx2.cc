#if defined(__x86_64__)
#include "engine/cpu/simd_avx2.h"

#include "engine/cpu/attention_kernels.h"
#include "engine/cpu/matmul_kernels.h"

namespace sluice {

const Kernels& avx2_kernels() {
    static constexpr Kernels kernels = kernels_of<Avx2>("avx2");
    return kernels;
}

}  // namespace sluice
#endif
