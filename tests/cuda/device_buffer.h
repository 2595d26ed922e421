// A device copy of host values, for tests. Fresh buffers are poisoned: a kernel that leaves an
// element unwritten leaves a NaN.
#pragma once

#include <cuda_runtime_api.h>

#include <cstring>
#include <vector>

#include "engine/cuda/memory.h"

namespace sluice::cuda {

template <class T>
class DeviceBuffer {
public:
    explicit DeviceBuffer(std::size_t count)
        : count_(count), memory_(take_device_memory(std::max<std::size_t>(bytes(), 1))) {
        check(cudaMemset(memory_.get(), 0xFF, bytes()));
    }
    explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(values.size()) {
        check(cudaMemcpy(memory_.get(), values.data(), bytes(), cudaMemcpyHostToDevice));
    }
    T* get() const { return static_cast<T*>(memory_.get()); }
    std::size_t bytes() const { return count_ * sizeof(T); }
    std::vector<T> host() const {
        std::vector<T> out(count_);
        check(cudaDeviceSynchronize());
        check(cudaMemcpy(out.data(), memory_.get(), bytes(), cudaMemcpyDeviceToHost));
        return out;
    }

private:
    std::size_t count_;
    DeviceMemory memory_;
};

}  // namespace sluice::cuda
