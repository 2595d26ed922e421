// How fast this machine's cores read memory together: the best of a few passes over a buffer that
// is several times the caches.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "engine/cpu/compute_threads.h"
#include "engine/cpu/cpu_device.h"
#include "engine/cpu/lazy_memory.h"

namespace sluice {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{256} << 20;
constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
constexpr int passes = 6;

// Sums of eight columns: enough loads in flight for one core to wait on memory alone.
std::uint64_t read_chunk(const std::uint8_t* data) {
    std::uint64_t sum[8] = {};
    for (std::size_t at = 0; at < chunk_bytes; at += sizeof sum) {
        std::uint64_t line[8];
        std::memcpy(line, data + at, sizeof line);
        for (int i = 0; i < 8; ++i) sum[i] += line[i];
    }
    std::uint64_t total = 0;
    for (std::uint64_t column : sum) total += column;
    return total;
}

}  // namespace

Result<double> measure_cpu_read_bandwidth(int threads) {
    auto workers = ComputeThreads::start(threads);
    if (!workers) return workers.error();
    auto memory = LazyMemory::take(buffer_bytes, true, "measuring the memory's speed");
    if (!memory) return memory.error();
    std::memset(memory->data(), 1, buffer_bytes);
    std::atomic<std::uint64_t> total = 0;  // so that the reads are of use
    double best = 0.0;
    for (int pass = 0; pass < passes; ++pass) {
        auto start = std::chrono::steady_clock::now();
        (*workers)->run(static_cast<int>(buffer_bytes / chunk_bytes), [&](int chunk) {
            total += read_chunk(memory->data() + static_cast<std::size_t>(chunk) * chunk_bytes);
        });
        std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        best = std::max(best, static_cast<double>(buffer_bytes) / took.count());
    }
    if (total == 0) return Error(Errc::internal, "the memory read back as zeros");
    return best;
}

}  // namespace sluice
