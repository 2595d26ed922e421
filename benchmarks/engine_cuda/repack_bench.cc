// How fast blocks of a file become planes: GB/s of the file's bytes for each format, on a matrix of
// a 32B's size and random blocks. Opening a model goes at least at the bus's speed where this is
// above it.
//     repack_bench
#include <algorithm>
#include <cstdio>
#include <vector>

#include "engine/cuda/embed.h"
#include "engine/cuda/matrix.h"
#include "engine/cuda/memory.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

constexpr int rows = 27648;
constexpr int columns = 5120;
constexpr int repeats = 11;

double milliseconds(const Matrix& matrix, const std::uint8_t* blocks) {
    const Stream stream = make_stream();
    const Event begin = make_event(cudaEventDefault);
    const Event end = make_event(cudaEventDefault);
    std::vector<float> times(repeats);
    for (float& time : times) {
        check(cudaEventRecord(begin.get(), stream.get()));
        repack(matrix, blocks, 0, rows, {}, stream.get());
        check(cudaEventRecord(end.get(), stream.get()));
        check(cudaEventSynchronize(end.get()));
        check(cudaEventElapsedTime(&time, begin.get(), end.get()));
    }
    std::ranges::nth_element(times, times.begin() + repeats / 2);
    return static_cast<double>(times[repeats / 2]);
}

void measure(WeightFormat format, TensorType type) {
    const std::int64_t bytes =
        std::int64_t{rows} * columns / block_weights(type) * block_bytes(type);
    const DeviceMemory blocks = take_device_memory(static_cast<std::size_t>(bytes));
    const DeviceMemory planes =
        take_device_memory(static_cast<std::size_t>(matrix_bytes(format, rows, columns)));
    auto* at = static_cast<std::uint8_t*>(blocks.get());
    random_blocks(type, at, bytes, 1, columns, nullptr);
    check(cudaDeviceSynchronize());
    const Matrix matrix{format, rows, columns, static_cast<std::uint8_t*>(planes.get()), nullptr};
    const double ms = milliseconds(matrix, at);
    std::printf("%-9s %7.3f ms %7.0f GB/s\n", std::string(type_name(type)).c_str(), ms,
                static_cast<double>(bytes) / ms / 1e6);
}

}  // namespace

int main() {
    measure(WeightFormat::bf16, TensorType::bf16);
    measure(WeightFormat::fp8_e4m3, TensorType::fp8_e4m3);
    measure(WeightFormat::q8_0, TensorType::q8_0);
    measure(WeightFormat::q4_0, TensorType::q4_0);
    measure(WeightFormat::q4_1, TensorType::q4_1);
    measure(WeightFormat::q4_k, TensorType::q4_k);
    measure(WeightFormat::q5_k, TensorType::q5_k);
    measure(WeightFormat::q6_k, TensorType::q6_k);
    return 0;
}
