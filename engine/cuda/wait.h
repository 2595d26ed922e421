// Waiting for the GPU with a limit: a kernel that never ends would else hold the engine thread, and
// with it every caller, for ever. The engine thread's alone.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <string>
#include <thread>

#include "engine/cuda/check.h"
#include "engine/cuda/context.h"

namespace sluice::cuda {

// Asks `query` (cudaEventQuery, cudaStreamQuery) again and again until it is done: at first without
// a pause, then some 15,000 times a second, which no step of a large model notices and which
// leaves the core to others. Errors: CudaFailure, also beyond `most`; then the context hangs.
template <class Query>
void wait_done(Query query, std::chrono::milliseconds most) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::microseconds without_pause{200}, pause{20};
    const auto began = Clock::now();
    for (;;) {
        const cudaError_t result = query();
        if (result != cudaErrorNotReady) return check(result);
        const auto waited = Clock::now() - began;
        if (waited > most) {
            context_hangs() = true;
            throw CudaFailure("it did not end within " + std::to_string(most.count()) + " ms");
        }
        if (waited > without_pause) std::this_thread::sleep_for(pause);
    }
}

// Whether all that was asked of a stream comes to its end: for destructors. Why it does not has
// been said by the step that was waited for.
inline bool ends(cudaStream_t stream, std::chrono::milliseconds most) {
    if (context_hangs()) return false;
    try {
        wait_done([stream] { return cudaStreamQuery(stream); }, most);
        return true;
    } catch (const CudaFailure&) {
        return false;
    }
}

}  // namespace sluice::cuda
