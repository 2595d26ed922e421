// How fast this GPU reads its memory: the limit that benchmarks state their figures beside.
#include <algorithm>
#include <string>

#include "engine/cuda/cuda_device.h"
#include "engine/cuda/failure_text.h"
#include "engine/cuda/find_gpu.h"
#include "engine/cuda/launch.cuh"
#include "engine/cuda/memory.h"

namespace sluice {
namespace {

using namespace cuda;

constexpr std::size_t buffer_bytes = std::size_t{4} << 30;  // far past any cache
constexpr int runs = 5;
constexpr int threads = 512;
constexpr int loads = 8;  // 16 bytes each, in flight in a thread

__global__ void __launch_bounds__(threads)
    read_kernel(const uint4* data, std::size_t count, unsigned* out) {
    const std::size_t stride = std::size_t{gridDim.x} * threads;
    unsigned sum = 0;
    for (std::size_t i = std::size_t{blockIdx.x} * threads + threadIdx.x; i < count;
         i += stride * loads) {
        uint4 value[loads];
        for (int n = 0; n < loads; ++n)
            value[n] = i + n * stride < count ? __ldcs(data + i + n * stride) : uint4{};
        for (int n = 0; n < loads; ++n) sum ^= value[n].x ^ value[n].y ^ value[n].z ^ value[n].w;
    }
    if (sum == 0x12345678) *out = sum;  // so that the loads are not left out
}

}  // namespace

Result<double> measure_cuda_read_bandwidth() {
    try {
        (void)cudaGetLastError();  // of whoever failed before
        const Status found = find_gpu();
        if (!found) return found.error();
        cudaDeviceProp card{};
        check(cudaGetDeviceProperties(&card, 0));
        const DeviceMemory buffer = take_device_memory(buffer_bytes);
        if (!buffer) return Error(Errc::bad_config, "the GPU has no 4 GiB free to measure with");
        check(cudaMemset(buffer.get(), 1, buffer_bytes));
        const Event begin = make_event(cudaEventDefault);
        const Event end = make_event(cudaEventDefault);
        const Stream stream = make_stream();
        float best_ms = 1e9F;
        for (int run = 0; run < runs; ++run) {
            check(cudaEventRecord(begin.get(), stream.get()));
            read_kernel<<<static_cast<unsigned>(card.multiProcessorCount * 4), threads, 0,
                          stream.get()>>>(static_cast<const uint4*>(buffer.get()),
                                          buffer_bytes / sizeof(uint4),
                                          static_cast<unsigned*>(buffer.get()));
            check(cudaGetLastError());
            check(cudaEventRecord(end.get(), stream.get()));
            check(cudaEventSynchronize(end.get()));
            float ms = 0;
            check(cudaEventElapsedTime(&ms, begin.get(), end.get()));
            best_ms = std::min(best_ms, ms);
        }
        return static_cast<double>(buffer_bytes) / (static_cast<double>(best_ms) * 1e-3);
    } catch (const CudaFailure& failure) {
        return Error(Errc::device_failed, text_of(failure).words);
    }
}

}  // namespace sluice
