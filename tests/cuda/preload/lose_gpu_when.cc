// Preloaded into a program that uses a GPU: loses it there as soon as the file exists that
// SLUICE_LOSE_GPU_WHEN names, and takes the file away. So `benchmarks/gpu_check --serve` sees how a
// whole gateway comes back.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "tests/cuda/lose_gpu.h"

namespace {

void wait_and_lose(const char* path) {
    struct stat info {};
    while (::stat(path, &info) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::unlink(path);
    std::fprintf(stderr, "lose_gpu_when: %s\n", sluice::lose_gpu() ? "lost" : "could not lose it");
}

const bool started = [] {
    const char* path = std::getenv("SLUICE_LOSE_GPU_WHEN");
    if (path != nullptr) std::thread(wait_and_lose, path).detach();
    return true;
}();

}  // namespace
