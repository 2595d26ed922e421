#include "tests/cuda/lose_gpu.h"

#include <cuda_runtime.h>

namespace sluice {
namespace {

__global__ void stop_everything() { __trap(); }

__global__ void run_for(unsigned long long nanoseconds) {
    unsigned long long began = 0, now = 0;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(began));
    do {
        __nanosleep(1000);
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    } while (now - began < nanoseconds);
}

}  // namespace

bool lose_gpu() {
    stop_everything<<<1, 1>>>();
    return cudaDeviceSynchronize() != cudaSuccess;
}

bool occupy_gpu(int seconds) {
    int multiprocessors = 0;
    if (cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0) != cudaSuccess)
        return false;
    int blocks = 0;  // that one holds at once
    constexpr int threads = 1024;
    if (cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, run_for, threads, 0) != cudaSuccess)
        return false;
    cudaStream_t stream = nullptr;  // never destroyed: that would wait
    if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) return false;
    run_for<<<blocks * multiprocessors, threads, 0, stream>>>(
        static_cast<unsigned long long>(seconds) * 1'000'000'000);
    return cudaGetLastError() == cudaSuccess;
}

}  // namespace sluice
