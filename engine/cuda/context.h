// The process's CUDA context. An error inside a kernel poisons it for good: every later call fails,
// in this process, until the context is replaced, and with it go all memory, streams and what was
// set for kernels. The last owner of a lost device replaces it, so one process has one CUDA engine.
// The engine thread's alone, or a thread's that opens or closes a device.
#pragma once

#include <cuda_runtime_api.h>

#include <utility>

namespace sluice::cuda {

inline int& contexts_replaced() {
    static int count = 0;
    return count;
}

// Something that holds for one context only, such as that a kernel was given more shared memory:
// default again after a replacement.
template <class T>
class PerContext {
public:
    T& get() {
        if (std::exchange(context_, contexts_replaced()) != contexts_replaced()) value_ = T{};
        return value_;
    }

private:
    T value_{};
    int context_ = 0;
};

// True once a kernel did not end in its time. What waits for the GPU would wait with it, and giving
// memory back waits: from then on nothing is given back, and no device opens in this process.
inline bool& context_hangs() {
    static bool hangs = false;
    return hangs;
}

// The first member of what owns a device, so that it is destroyed last.
class LostContext {
public:
    void lost() { lost_ = true; }
    ~LostContext() {
        if (!lost_ || context_hangs()) return;
        (void)cudaDeviceReset();  // if it fails, the next device's opening will say so
        ++contexts_replaced();
    }

private:
    bool lost_ = false;
};

}  // namespace sluice::cuda
