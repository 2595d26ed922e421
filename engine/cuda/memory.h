// Owners of what CUDA lends: device memory, pinned host memory, streams, events and graphs. Each is
// moved, never copied, and gives back in its destructor, unless the context hangs. Errors:
// CudaFailure; `take` of device memory that is not there gives nothing instead, so that the caller
// can say what it was for; of pinned memory it is NoMemory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/cuda/check.h"
#include "engine/cuda/context.h"

namespace sluice::cuda {

// Memory that is not there when a device is opened: it works, but not for so much.
struct NoMemory : CudaFailure {
    using CudaFailure::CudaFailure;
};

// Owns one handle of type T that Free gives back. A failure to free means that the device is lost,
// which its next use will say.
template <class T, auto Free>
class Owned {
public:
    Owned() = default;
    explicit Owned(T handle) : handle_(handle) {}
    Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, T{})) {}
    Owned& operator=(Owned&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Owned() {
        if (handle_ != T{} && !context_hangs()) (void)Free(handle_);
    }
    T get() const { return handle_; }
    explicit operator bool() const { return handle_ != T{}; }

private:
    T handle_{};
};

using DeviceMemory = Owned<void*, cudaFree>;
using PinnedMemory = Owned<void*, cudaFreeHost>;
using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

inline DeviceMemory take_device_memory(std::size_t bytes) {
    void* memory = nullptr;
    cudaError_t result = cudaMalloc(&memory, bytes);
    if (result == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return {};
    }
    check(result);
    return DeviceMemory(memory);
}

inline PinnedMemory take_pinned_memory(std::size_t bytes) {
    void* memory = nullptr;
    const cudaError_t result = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
    if (result == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        throw NoMemory("the host has no " + std::to_string((bytes >> 20) + 1) +
                       " MiB of memory that the GPU may read");
    }
    check(result);
    return PinnedMemory(memory);
}

inline Stream make_stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return Stream(stream);
}

inline Event make_event(unsigned flags = cudaEventDisableTiming) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, flags));
    return Event(event);
}

// What a stream is asked while this lives becomes a graph. One that is not ended, because a call
// failed, is thrown away: the stream would take no other call.
class Capture {
public:
    explicit Capture(cudaStream_t stream) : stream_(stream) {
        check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    ~Capture() {
        cudaGraph_t graph = nullptr;
        if (stream_ != nullptr) (void)cudaStreamEndCapture(stream_, &graph);
        const Graph dropped(graph);
    }
    Graph end() {
        cudaGraph_t graph = nullptr;
        check(cudaStreamEndCapture(std::exchange(stream_, nullptr), &graph));
        return Graph(graph);
    }

private:
    cudaStream_t stream_;
};

}  // namespace sluice::cuda
