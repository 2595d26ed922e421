// Times attention over the paged KV cache at the shapes of DeepSeek-R1-Distill-Qwen-32B (40 query
// heads, 8 kv heads of 128). Each figure is the median of replays of a CUDA graph of many launches
// that rotate over more cache than the L2 holds. Decode: GB/s of keys and values, and their share
// of what a plain kernel of this process reads. Prefill: TFLOP/s, causal work counted as half, and
// its share of the bf16 product ceiling, by default an H100's measured 793. Usage: attention_bench
// [TFLOP/s]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "benchmarks/engine_cuda/read_ceiling.h"
#include "engine/cuda/attention.h"
#include "engine/cuda/memory.h"

using namespace sluice::cuda;

namespace {

constexpr int query_heads = 40, kv_heads = 8, dim = 128;
constexpr AttentionShape shape{query_heads, dim};

template <class T>
DeviceMemory on_device(const std::vector<T>& values) {
    DeviceMemory memory = take_device_memory(values.size() * sizeof(T));
    check(
        cudaMemcpy(memory.get(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    return memory;
}

// Random numbers of about 1 in size, in the format's codes: a block of them over and over.
void fill(void* memory, std::size_t bytes, KvFormat format) {
    std::mt19937 random(1);
    std::vector<std::uint8_t> block(std::size_t{8} << 20);
    for (std::size_t i = 0; i < block.size(); i += 2) {
        const auto low = static_cast<std::uint8_t>(random());
        const bool is_bf16 = format == KvFormat::bf16;
        block[i] = is_bf16 ? low : static_cast<std::uint8_t>(0x28 + low % 32 + random() % 2 * 128);
        block[i + 1] = is_bf16 ? static_cast<std::uint8_t>(0x3F + random() % 2 * 128)
                               : static_cast<std::uint8_t>(0x28 + low / 8 + random() % 2 * 128);
    }
    auto* to = static_cast<std::uint8_t*>(memory);
    check(cudaMemcpy(to, block.data(), std::min(block.size(), bytes), cudaMemcpyHostToDevice));
    for (std::size_t at = block.size(); at < bytes; at += block.size())
        check(
            cudaMemcpy(to + at, to, std::min(block.size(), bytes - at), cudaMemcpyDeviceToDevice));
}

// Median microseconds of one of `launches` calls launch(0), launch(1), ... in a graph.
double microseconds(int launches, const std::function<void(int, cudaStream_t)>& run) {
    const Stream stream = make_stream();
    run(0, stream.get());
    check(cudaStreamSynchronize(stream.get()));
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < launches; ++i) run(i, stream.get());
    cudaGraph_t captured = nullptr;
    check(cudaStreamEndCapture(stream.get(), &captured));
    const Graph graph(captured);
    cudaGraphExec_t made = nullptr;
    check(cudaGraphInstantiate(&made, captured, 0));
    const GraphExec exec(made);
    const Event begin = make_event(cudaEventDefault);
    const Event end = make_event(cudaEventDefault);
    std::vector<float> times;
    for (int i = 0; i < 9; ++i) {
        check(cudaEventRecord(begin.get(), stream.get()));
        check(cudaGraphLaunch(exec.get(), stream.get()));
        check(cudaEventRecord(end.get(), stream.get()));
        check(cudaEventSynchronize(end.get()));
        float milliseconds = 0;
        check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
        if (i > 1) times.push_back(milliseconds);
    }
    std::sort(times.begin(), times.end());
    return 1e3 * double{times[times.size() / 2]} / launches;
}

// A cache of so many layers with `contexts` positions a sequence, in scattered pages.
struct Cache {
    Cache(KvFormat format, int layers, int T, int context) {
        const int each = (context + page_positions - 1) / page_positions;
        std::vector<std::int32_t> pages(static_cast<std::size_t>(T * each));
        std::iota(pages.begin(), pages.end(), 0);
        std::shuffle(pages.begin(), pages.end(), std::mt19937(5));
        std::vector<std::int32_t> slots(static_cast<std::size_t>(T));
        std::iota(slots.begin(), slots.end(), 0);
        const std::size_t bytes =
            pages.size() * static_cast<std::size_t>(kv_page_bytes(format, layers, kv_heads, dim));
        memory = take_device_memory(bytes);
        fill(memory.get(), bytes, format);
        table = on_device(pages);
        slot = on_device(slots);
        position = on_device(std::vector<std::int32_t>(static_cast<std::size_t>(T), context - 1));
        scale =
            on_device(std::vector<float>(static_cast<std::size_t>(2 * layers * kv_heads), 1.0F));
        kv = {format,
              layers,
              static_cast<std::int64_t>(pages.size()),
              kv_heads,
              dim,
              static_cast<std::uint8_t*>(memory.get()),
              static_cast<float*>(scale.get())};
        tables = {static_cast<std::int32_t*>(position.get()),
                  static_cast<std::int32_t*>(slot.get()), static_cast<std::int32_t*>(table.get()),
                  each};
    }
    DeviceMemory memory, table, slot, position, scale;
    KvCache kv;
    StepTables tables;
};

DeviceMemory queries(int T) {
    const std::size_t bytes = static_cast<std::size_t>(T) * query_heads * dim * sizeof(bf16);
    DeviceMemory query = take_device_memory(bytes);
    fill(query.get(), bytes, KvFormat::bf16);
    return query;
}

const char* name(KvFormat format) { return format == KvFormat::bf16 ? "bf16" : "fp8 "; }

void bench_decode(KvFormat format, int T, int context, int context_max, double read_gbs) {
    const double bytes =
        static_cast<double>(kv_page_bytes(format, 1, kv_heads, dim)) / page_positions * context * T;
    const int layers = std::clamp(static_cast<int>(6e8 / bytes) + 1, 2, 64);
    const Cache cache(format, layers, T, context);
    const DeviceMemory query = queries(T);
    const DeviceMemory out =
        take_device_memory(static_cast<std::size_t>(T) * query_heads * dim * 2);
    const std::size_t size = attend_workspace_bytes(T, shape, dim, context_max);
    const DeviceMemory workspace = take_device_memory(size);
    check(cudaMemset(workspace.get(), 0, size));
    const double us = microseconds(64, [&](int i, cudaStream_t stream) {
        attend_decode(static_cast<bf16*>(query.get()), out.get(), false, cache.kv, i % layers,
                      cache.tables, shape, T, context_max, workspace.get(), stream);
    });
    const double gbs = bytes / us / 1e3;
    std::printf("decode  %s B=%-4d context %-7d of %-7d %9.2f us %7.0f GB/s  %3.0f %%\n",
                name(format), T, context, context_max, us, gbs, 100 * gbs / read_gbs);
}

void bench_prefill(KvFormat format, int sequences, int from, int count, double tflops_max) {
    const Cache cache(format, 2, sequences, from + count);
    const DeviceMemory query = queries(sequences * count);
    const DeviceMemory out =
        take_device_memory(static_cast<std::size_t>(sequences * count) * query_heads * dim * 2);
    std::vector<Tile> list;
    for (int i = 0; i < count; i += prefill_tile)
        for (int s = 0; s < sequences; ++s)
            list.push_back({s * count + i, std::min(prefill_tile, count - i), from + i, s});
    const DeviceMemory tiles = on_device(list);
    const double us = microseconds(4, [&](int i, cudaStream_t stream) {
        attend_prefill(static_cast<bf16*>(query.get()), out.get(), false, cache.kv, i % 2,
                       cache.tables, shape, static_cast<Tile*>(tiles.get()),
                       static_cast<int>(list.size()), 0, stream);
    });
    const double keys = (from + 0.5 * count) * count * sequences;
    const double tflops = 4.0 * query_heads * dim * keys / us / 1e6;
    std::printf("prefill %s B=%-4d %6d tokens after %-6d %9.1f us %6.0f TFLOP/s  %3.0f %%\n",
                name(format), sequences, count, from, us, tflops, 100 * tflops / tflops_max);
}

void bench_rope(KvFormat format, int T, double read_gbs) {
    const Cache cache(format, 8, T, 576);
    const std::size_t row = (query_heads + 2 * kv_heads) * dim;
    const std::size_t bytes = static_cast<std::size_t>(T) * row * sizeof(float);
    const DeviceMemory qkv = take_device_memory(bytes);
    check(cudaMemset(qkv.get(), 0x3C, bytes));
    const DeviceMemory bias = on_device(std::vector<float>(row, 0.5F));
    const DeviceMemory frequency = on_device(std::vector<float>(dim / 2, 0.3F));
    const DeviceMemory query = queries(T);
    const double us = microseconds(64, [&](int i, cudaStream_t stream) {
        rope_append(static_cast<float*>(qkv.get()), static_cast<float*>(bias.get()),
                    static_cast<float*>(frequency.get()), static_cast<bf16*>(query.get()), cache.kv,
                    i % 8, cache.tables, shape, T, stream);
    });
    const double gbs = static_cast<double>(bytes) * 1.5 / us / 1e3;
    std::printf("rope    %s T=%-5d %9.2f us %7.0f GB/s  %3.0f %%\n", name(format), T, us, gbs,
                100 * gbs / read_gbs);
}

// What a layer of a decode step launches one after the other: rotation, then attention.
void bench_pair(KvFormat format, int T, int context) {
    const int layers = 64;
    const Cache cache(format, layers, T, context);
    const std::size_t row = (query_heads + 2 * kv_heads) * dim;
    const DeviceMemory qkv = on_device(std::vector<float>(static_cast<std::size_t>(T) * row, 0.5F));
    const DeviceMemory bias = on_device(std::vector<float>(row, 0.5F));
    const DeviceMemory frequency = on_device(std::vector<float>(dim / 2, 0.3F));
    const DeviceMemory query = queries(T);
    const DeviceMemory out =
        take_device_memory(static_cast<std::size_t>(T) * query_heads * dim * 2);
    const std::size_t size = attend_workspace_bytes(T, shape, dim, context);
    const DeviceMemory workspace = take_device_memory(size);
    check(cudaMemset(workspace.get(), 0, size));
    const double us = microseconds(64, [&](int i, cudaStream_t stream) {
        rope_append(static_cast<float*>(qkv.get()), static_cast<float*>(bias.get()),
                    static_cast<float*>(frequency.get()), static_cast<bf16*>(query.get()), cache.kv,
                    i % layers, cache.tables, shape, T, stream);
        attend_decode(static_cast<bf16*>(query.get()), out.get(), false, cache.kv, i % layers,
                      cache.tables, shape, T, context, workspace.get(), stream);
    });
    std::printf("rope and decode %s B=%-4d context %-6d %9.2f us a layer\n", name(format), T,
                context, us);
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const double tflops_max = argc > 1 ? std::atof(argv[1]) : 793;
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0));
    double read_gbs = 0;
    {
        const std::size_t bytes = std::size_t{4} << 30;
        const DeviceMemory memory = take_device_memory(bytes);
        check(cudaMemset(memory.get(), 0x3C, bytes));
        read_gbs = read_ceiling(memory.get(), bytes) / 1e9;
    }
    std::printf("%s, read ceiling %.0f GB/s\n", properties.name, read_gbs);
    for (KvFormat format : {KvFormat::bf16, KvFormat::fp8_e4m3}) {
        for (int T : {1, 8, 128}) bench_rope(format, T, read_gbs);
        bench_rope(format, 2048, read_gbs);
        for (int context : {64, 600, 2048, 4096, 16384, 17000, 131072})
            bench_decode(format, 1, context, context, read_gbs);
        bench_decode(format, 1, 600, 131072, read_gbs);
        for (int T : {8, 32, 64, 128, 256}) bench_decode(format, T, 576, 1024, read_gbs);
        bench_decode(format, 128, 576, 131072, read_gbs);
        bench_decode(format, 32, 2048, 2048, read_gbs);
        bench_decode(format, 8, 16384, 16384, read_gbs);
        bench_pair(format, 1, 600);
        bench_pair(format, 32, 576);
        bench_prefill(format, 1, 0, 512, tflops_max);
        bench_prefill(format, 1, 0, 2048, tflops_max);
        bench_prefill(format, 4, 0, 2048, tflops_max);
        bench_prefill(format, 1, 0, 8192, tflops_max);
        bench_prefill(format, 1, 8192, 512, tflops_max);
    }
    return 0;
}
