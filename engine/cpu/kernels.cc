#include "engine/cpu/kernels.h"

#include <string>

namespace sluice {
namespace {

#if defined(__x86_64__)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
}
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
const Kernels& avx2_kernels() { return portable_kernels(); }
const Kernels& avx512_kernels() { return portable_kernels(); }
#endif

}  // namespace

Result<const Kernels*> choose_kernels(std::string_view name) {
    if (name.empty()) {
        if (has_avx512()) return &avx512_kernels();
        return has_avx2() ? &avx2_kernels() : &portable_kernels();
    }
    if (name == "portable") return &portable_kernels();
    if (name == "avx2" && has_avx2()) return &avx2_kernels();
    if (name == "avx512" && has_avx512()) return &avx512_kernels();
    if (name == "avx2" || name == "avx512")
        return Error(Errc::bad_config, "this processor has no " + std::string(name));
    return Error(Errc::bad_config, "unknown CPU kernels '" + std::string(name) +
                                       "', there are portable, avx2 and avx512");
}

}  // namespace sluice
