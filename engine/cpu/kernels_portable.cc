#include "engine/cpu/simd_portable.h"

#include "engine/cpu/attention_kernels.h"
#include "engine/cpu/matmul_kernels.h"

namespace sluice {

const Kernels& portable_kernels() {
    static constexpr Kernels kernels = kernels_of<Portable>("portable");
    return kernels;
}

}  // namespace sluice
