// The largest keys and values of a text, from which scales of 8 bits are made, against plain loops.
#include "engine/cuda/kv_scale.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "engine/cuda/attention.h"
#include "tests/cuda/device_buffer.h"

using namespace sluice::cuda;

TEST_CASE("the largest of each head's keys and values are found, and of no other's", "[kv_scale]") {
    const int dim = GENERATE(64, 128);
    const int tokens = GENERATE(1, 64, 150);
    CAPTURE(dim, tokens);
    constexpr int layers = 2, pages = 4, heads = 3;
    const std::size_t page_codes = static_cast<std::size_t>(page_positions * dim);
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<bf16> codes;
    std::vector<float> want;
    for (int layer = 0; layer < layers; ++layer) {
        std::vector<float> top(2 * heads, 0.0F);  // keys of all heads, then values
        for (int page = 0; page < pages; ++page)
            for (std::size_t head = 0; head < top.size(); ++head)
                for (std::size_t i = 0; i < page_codes; ++i) {
                    const int position = page * page_positions + static_cast<int>(i) / dim;
                    // What lies behind the text is larger than all of it.
                    const float size = position < tokens ? 1.0F + static_cast<float>(head) : 1e4F;
                    codes.push_back(__float2bfloat16(size * normal(random)));
                    if (position < tokens)
                        top[head] = std::max(top[head], std::abs(__bfloat162float(codes.back())));
                }
        want.insert(want.end(), top.begin(), top.end());
    }
    DeviceBuffer<bf16> data(codes);
    const KvCache cache{KvFormat::bf16, layers, pages,
                        heads,          dim,    reinterpret_cast<std::uint8_t*>(data.get()),
                        nullptr};
    DeviceBuffer<float> most(want.size());
    largest_in_kv(cache, tokens, most.get(), nullptr);
    CHECK(most.host() == want);
}
