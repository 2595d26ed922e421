#include "engine/cpu/compute_threads.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice {
namespace {

constexpr std::chrono::microseconds spin_time{60};

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#endif
}

int cores() {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set);
}

// Spins until `ready` or until the time is up; says which.
template <class Ready>
bool spin_until(const Ready& ready) {
    auto deadline = std::chrono::steady_clock::now() + spin_time;
    do {
        for (int i = 0; i < 64; ++i) {
            if (ready()) return true;
            pause();
        }
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
}

}  // namespace

Result<std::unique_ptr<ComputeThreads>> ComputeThreads::start(int count) {
    if (count == 0) count = std::clamp(cores(), 1, compute_threads_max);
    try {
        return std::make_unique<ComputeThreads>(count);
    } catch (const std::system_error& error) {
        return Error(Errc::bad_config,
                     std::string("cannot start the compute threads: ") + error.what());
    }
}

ComputeThreads::ComputeThreads(int count) {
    for (int i = 1; i < count; ++i) threads_.emplace_back([this] { serve(); });
}

ComputeThreads::~ComputeThreads() {
    stop_ = true;
    ++epoch_;
    epoch_.notify_all();
}

void ComputeThreads::run_job(Call call, const void* work, int chunks) {
    auto total = static_cast<std::uint32_t>(chunks);
    std::uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
    call_.store(call, std::memory_order_relaxed);
    work_.store(work, std::memory_order_relaxed);
    chunks_.store(total, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    state_.store(pack(epoch, total), std::memory_order_release);
    epoch_.store(epoch);
    epoch_.notify_all();
    while (claim_and_work(epoch)) {
    }
    auto finished = [&] { return done_.load(std::memory_order_acquire) == total; };
    if (spin_until(finished)) return;
    for (std::uint32_t done = done_.load(); done != total; done = done_.load()) done_.wait(done);
}

bool ComputeThreads::claim_and_work(std::uint32_t epoch) {
    std::uint64_t state = state_.load(std::memory_order_acquire);
    for (;;) {
        auto left = static_cast<std::uint32_t>(state);
        if (state >> 32 != epoch || left == 0) return false;
        Call call = call_.load(std::memory_order_relaxed);
        const void* work = work_.load(std::memory_order_relaxed);
        std::uint32_t total = chunks_.load(std::memory_order_relaxed);
        if (!state_.compare_exchange_weak(state, pack(epoch, left - 1), std::memory_order_acq_rel,
                                          std::memory_order_acquire))
            continue;
        call(work, static_cast<int>(total - left));
        // Only the last to finish may find the caller asleep.
        if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == total) done_.notify_all();
        return true;
    }
}

void ComputeThreads::serve() {
    std::uint32_t seen = 0;
    for (;;) {
        auto changed = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
        if (!spin_until(changed)) epoch_.wait(seen);
        if (stop_.load(std::memory_order_acquire)) return;
        seen = epoch_.load(std::memory_order_acquire);
        while (claim_and_work(seen)) {
        }
    }
}

}  // namespace sluice
