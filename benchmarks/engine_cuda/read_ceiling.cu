#include "benchmarks/engine_cuda/read_ceiling.h"

#include <algorithm>

#include "engine/cuda/memory.h"

namespace sluice::cuda {
namespace {

constexpr int threads = 512;
constexpr int loads_in_flight = 8;

__global__ void read_kernel(const uint4* memory, std::size_t count, unsigned* out) {
    unsigned sum = 0;
    const std::size_t stride = std::size_t{gridDim.x} * threads;
    std::size_t i = std::size_t{blockIdx.x} * threads + threadIdx.x;
    for (; i + (loads_in_flight - 1) * stride < count; i += loads_in_flight * stride) {
        uint4 value[loads_in_flight];
#pragma unroll
        for (int j = 0; j < loads_in_flight; ++j) value[j] = __ldcs(memory + i + j * stride);
#pragma unroll
        for (int j = 0; j < loads_in_flight; ++j)
            sum ^= value[j].x ^ value[j].y ^ value[j].z ^ value[j].w;
    }
    if (sum == 0x12345678U) *out = sum;  // so that nothing is optimised away
}

}  // namespace

double read_ceiling(const void* memory, std::size_t bytes) {
    int processors = 0;
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
    DeviceMemory out = take_device_memory(sizeof(unsigned));
    Event begin = make_event(cudaEventDefault);
    Event end = make_event(cudaEventDefault);
    float best_ms = 1e9F;
    for (int i = 0; i < 6; ++i) {
        check(cudaEventRecord(begin.get(), nullptr));
        read_kernel<<<static_cast<unsigned>(processors * 4), threads>>>(
            static_cast<const uint4*>(memory), bytes / sizeof(uint4),
            static_cast<unsigned*>(out.get()));
        check(cudaEventRecord(end.get(), nullptr));
        check(cudaEventSynchronize(end.get()));
        float ms = 0;
        check(cudaEventElapsedTime(&ms, begin.get(), end.get()));
        if (i > 0) best_ms = std::min(best_ms, ms);
    }
    return static_cast<double>(bytes) / (best_ms * 1e-3);
}

}  // namespace sluice::cuda
