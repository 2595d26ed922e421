// The threads that share the CPU device's work. One caller at a time (the engine thread), which
// works too. Work is cut into chunks that threads claim one by one, so that a thread the system
// has taken off its core delays its current chunk only, and none waits for one with nothing to do.
// Between pieces of work a thread spins for a few tens of microseconds, as the next piece usually
// follows at once, then sleeps: an idle device uses no CPU.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "engine/result.h"

namespace sluice {

inline constexpr int compute_threads_max = 256;

class ComputeThreads {
public:
    // With the caller: count - 1 threads are started. 0 = as many as this process has cores.
    // Errors: bad_config, when the system gives no more threads.
    static Result<std::unique_ptr<ComputeThreads>> start(int count);
    explicit ComputeThreads(int count);  // count >= 1; throws std::system_error
    ~ComputeThreads();
    ComputeThreads(const ComputeThreads&) = delete;
    ComputeThreads& operator=(const ComputeThreads&) = delete;

    int count() const { return static_cast<int>(threads_.size()) + 1; }

    // Calls work(chunk) once for each chunk in [0, chunks), on any of the threads; returns when all
    // are done, and all they wrote is visible. `work` must not throw or call run().
    template <class Work>
    void run(int chunks, const Work& work) {
        if (chunks == 1 || threads_.empty()) {
            for (int chunk = 0; chunk < chunks; ++chunk) work(chunk);
            return;
        }
        if (chunks > 0)
            run_job([](const void* w, int c) { (*static_cast<const Work*>(w))(c); }, &work, chunks);
    }

private:
    using Call = void (*)(const void* work, int chunk);

    void run_job(Call call, const void* work, int chunks);
    bool claim_and_work(std::uint32_t epoch);
    void serve();

    // The job's number and how many of its chunks nobody has claimed. A claim that finds its
    // epoch and something left proves that the fields below are still that epoch's.
    static std::uint64_t pack(std::uint32_t epoch, std::uint32_t left) {
        return static_cast<std::uint64_t>(epoch) << 32 | left;
    }
    alignas(64) std::atomic<std::uint64_t> state_{0};
    alignas(64) std::atomic<std::uint32_t> epoch_{0};  // what sleepers wait on
    alignas(64) std::atomic<std::uint32_t> done_{0};   // chunks of this job finished
    alignas(64) std::atomic<Call> call_{nullptr};
    std::atomic<const void*> work_{nullptr};
    std::atomic<std::uint32_t> chunks_{0};
    std::atomic<bool> stop_{false};
    std::vector<std::jthread> threads_;
};

}  // namespace sluice
