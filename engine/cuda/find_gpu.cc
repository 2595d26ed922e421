#include "engine/cuda/find_gpu.h"

namespace sluice::cuda {
namespace {

constexpr int least_major = 8;

std::string built_for() {
    return std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
}

}  // namespace

std::string no_gpu_text(cudaError_t result) {
    return std::string("device 'cuda' asked for, but no GPU can be used: ") +
           cudaGetErrorString(result == cudaSuccess ? cudaErrorNoDevice : result) +
           "; nvidia-smi must list a GPU and a driver for CUDA " + built_for() +
           " or later, and CUDA_VISIBLE_DEVICES must not hide it; or use device 'cpu'";
}

Status find_gpu() {
    int count = 0;
    const cudaError_t result = cudaGetDeviceCount(&count);
    if (result != cudaSuccess || count == 0) {
        (void)cudaGetLastError();  // told here
        return Error(Errc::bad_config, no_gpu_text(result));
    }
    cudaDeviceProp card{};
    check(cudaGetDeviceProperties(&card, 0));
    if (card.major < least_major)
        return Error(Errc::bad_config, std::string(card.name) + " has compute capability " +
                                           std::to_string(card.major) + "." +
                                           std::to_string(card.minor) +
                                           "; 8.0 or above is needed: use another GPU, or device "
                                           "'cpu'");
    check(cudaSetDevice(0));
    return Done{};
}

}  // namespace sluice::cuda
