#include <catch2/catch.hpp>

#include "tests/cuda/attention_world.h"

using namespace sluice::cuda;

namespace {

struct Step {
    std::vector<float> qkv, bias, frequency;
    std::vector<std::int32_t> position, slot;
    int rope_dims;
};

Step random_step(Heads heads, std::vector<std::int32_t> position, std::vector<std::int32_t> slot,
                 int rope_dims) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const auto row = static_cast<std::size_t>((heads.query + 2 * heads.kv) * heads.dim);
    Step step{{}, {}, {}, std::move(position), std::move(slot), rope_dims};
    step.qkv.resize(row * step.position.size());
    step.bias.resize(row);
    for (float& value : step.qkv) value = normal(random);
    for (float& value : step.bias) value = normal(random);
    for (int i = 0; i < rope_dims / 2; ++i)
        step.frequency.push_back(static_cast<float>(std::pow(1e6, -2.0 * i / rope_dims)));
    return step;
}

// Token t's head of qkv + bias, rotated, in double.
std::vector<double> rotated(const Step& step, Heads heads, std::size_t t, int head, bool turns) {
    const auto D = static_cast<std::size_t>(heads.dim);
    const std::size_t row = static_cast<std::size_t>(heads.query + 2 * heads.kv) * D;
    const std::size_t at = static_cast<std::size_t>(head) * D;
    std::vector<double> x(D);
    for (std::size_t d = 0; d < D; ++d)
        x[d] = double{step.qkv[t * row + at + d]} + double{step.bias[at + d]};
    const auto half = static_cast<std::size_t>(step.rope_dims / 2);
    for (std::size_t i = 0; turns && i < half; ++i) {
        const double angle = step.position[t] * double{step.frequency[i]};
        const double a = x[i], b = x[i + half];
        x[i] = a * std::cos(angle) - b * std::sin(angle);
        x[i + half] = b * std::cos(angle) + a * std::sin(angle);
    }
    return x;
}

struct Appended {
    std::vector<bf16> query;
    std::vector<std::uint8_t> cache;
};

Appended append(AttentionWorld& world, const Step& step, bool with_bias = true) {
    const Heads heads = world.heads();
    const int T = static_cast<int>(step.slot.size());
    const KvCache cache = world.cache();
    DeviceBuffer<float> qkv(step.qkv), bias(step.bias), frequency(step.frequency);
    DeviceBuffer<std::int32_t> position(step.position), slot(step.slot), table(world.table());
    DeviceBuffer<bf16> query(static_cast<std::size_t>(T * heads.query * heads.dim));
    rope_append(qkv.get(), with_bias ? bias.get() : nullptr, frequency.get(), query.get(), cache,
                AttentionWorld::layer,
                {position.get(), slot.get(), table.get(), AttentionWorld::stride},
                {heads.query, step.rope_dims}, T, nullptr);
    return {query.host(), world.cache_now()};
}

void check_query(const Appended& got, const Step& step, Heads heads, double bound) {
    const double scale = std::log2(std::exp(1.0)) / std::sqrt(heads.dim);
    for (std::size_t t = 0; t < step.slot.size(); ++t)
        for (int head = 0; head < heads.query; ++head) {
            auto want = rotated(step, heads, t, head, true);
            for (double& value : want) value *= step.slot[t] < 0 ? 0 : scale;
            const std::size_t at =
                (t * static_cast<std::size_t>(heads.query) + static_cast<std::size_t>(head)) *
                want.size();
            if (step.slot[t] >= 0) {
                REQUIRE(relative_error(got.query.data() + at, want) <= bound);
                continue;
            }
            for (std::size_t d = 0; d < want.size(); ++d)
                REQUIRE(as_double(got.query[at + d]) == 0);
        }
}

}  // namespace

TEST_CASE("rotated queries, keys and values land in their places and nowhere else", "[rope]") {
    const Heads heads = GENERATE(Heads{9, 3, 64}, Heads{40, 8, 128}, Heads{14, 2, 128});
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    const int T = GENERATE(5, 70);
    const int rope_dims = GENERATE(64, 48);
    AttentionWorld world(format, heads, {1, 150, 500});
    std::vector<std::int32_t> position = {0, 149, 3, 64, 499}, slot = {0, 1, -1, 1, 2};
    for (int t = 5; t < T; ++t) {
        position.push_back(t + 100);
        slot.push_back(2);
    }
    const Step step = random_step(heads, position, slot, rope_dims);
    const Appended got = append(world, step);
    check_query(got, step, heads, 3e-3);
    auto expected = world.bytes();  // what no token of the step writes is as it was
    const std::size_t code = format == KvFormat::bf16 ? 2 : 1;
    for (std::size_t t = 0; t < step.slot.size(); ++t)
        for (int k = 0; k < heads.kv && slot[t] >= 0; ++k)
            for (int half = 0; half < 2; ++half) {
                const int head = heads.query + half * heads.kv + k;
                const auto want = rotated(step, heads, t, head, half == 0);
                const int page = world.page(slot[t], position[t]);
                const std::size_t at = world.index(page, half != 0, k, position[t], 0);
                double difference = 0, norm = 0;
                for (std::size_t d = 0; d < want.size(); ++d) {
                    const double found = world.code(got.cache, at + d, half != 0, k);
                    difference += (found - want[d]) * (found - want[d]);
                    norm += want[d] * want[d];
                }
                REQUIRE(std::sqrt(difference / norm) <= (format == KvFormat::bf16 ? 3e-3 : 4e-2));
                std::memcpy(expected.data() + at * code, got.cache.data() + at * code,
                            want.size() * code);
            }
    REQUIRE(expected == got.cache);
}

TEST_CASE("the rotation is exact at the last position of a long context", "[rope]") {
    const Heads heads{5, 1, 128};
    AttentionWorld world(KvFormat::bf16, heads, {1});
    // The last position of 131072 lies in page 2047 of a table of its own.
    Step step = random_step(heads, {131071}, {0}, 128);
    std::fill(step.bias.begin(), step.bias.end(), 0.0F);
    std::vector<std::int32_t> pages(2048, 0);
    const KvCache cache = world.cache();
    DeviceBuffer<float> qkv(step.qkv), frequency(step.frequency);
    DeviceBuffer<std::int32_t> position(step.position), slot(step.slot), table(pages);
    DeviceBuffer<bf16> query(5 * 128);
    rope_append(qkv.get(), nullptr, frequency.get(), query.get(), cache, AttentionWorld::layer,
                {position.get(), slot.get(), table.get(), 2048}, {5, 128}, 1, nullptr);
    const auto rows = query.host();
    for (int head = 0; head < 5; ++head) {
        auto want = rotated(step, heads, 0, head, true);
        for (std::size_t d = 0; d < 128; ++d) {
            want[d] *= std::log2(std::exp(1.0)) / std::sqrt(128.0);
            const double got = as_double(rows[static_cast<std::size_t>(head) * 128 + d]);
            REQUIRE(std::abs(got - want[d]) <= std::abs(want[d]) / 256 + 2e-5);  // bf16's own
        }
    }
}

TEST_CASE("attention over fp8 keys and values is close to that over bf16", "[rope]") {
    const Heads heads{10, 2, 128};
    std::vector<std::int32_t> position(200), slot(200, 0);
    std::iota(position.begin(), position.end(), 0);
    Step step = random_step(heads, position, slot, 128);
    std::fill(step.bias.begin(), step.bias.end(), 0.0F);
    for (float& value : step.qkv) value *= 0.5F;
    std::vector<double> exact;
    for (KvFormat format : {KvFormat::bf16, KvFormat::fp8_e4m3}) {
        AttentionWorld world(format, heads, {200});
        const KvCache cache = world.cache();
        DeviceBuffer<float> qkv(step.qkv), frequency(step.frequency);
        DeviceBuffer<std::int32_t> positions(position), slots(slot), table(world.table());
        DeviceBuffer<bf16> query(200 * 10 * 128);
        DeviceBuffer<f16> out(200 * 10 * 128);
        const StepTables tables{positions.get(), slots.get(), table.get(), AttentionWorld::stride};
        rope_append(qkv.get(), nullptr, frequency.get(), query.get(), cache, AttentionWorld::layer,
                    tables, {10, 128}, 200, nullptr);
        DeviceBuffer<Tile> tiles(std::vector<Tile>{{0, 128, 0, 0}, {128, 72, 128, 0}});
        attend_prefill(query.get(), out.get(), false, cache, AttentionWorld::layer, tables,
                       {10, 128}, tiles.get(), 2, 0, nullptr);
        const auto rows = out.host();
        if (format == KvFormat::fp8_e4m3) REQUIRE(relative_error(rows.data(), exact) <= 3e-2);
        for (f16 value : rows) exact.push_back(as_double(value));
    }
}

TEST_CASE("decode close behind the rotation sees the token's own key, and older ones", "[rope]") {
    const Heads heads{10, 2, 128};
    const KvFormat format = GENERATE(KvFormat::bf16, KvFormat::fp8_e4m3);
    AttentionWorld world(format, heads, {1, 17, 130, 500, 2000, 64, 65, 300});
    const Step step =
        random_step(heads, {0, 16, 129, 499, 1999, 63, 64, 299}, {0, 1, 2, 3, 4, 5, 6, 7}, 128);
    const int T = 8, rounds = 30;
    const auto row = static_cast<std::size_t>(T * heads.query * heads.dim);
    std::vector<float> many;  // each round stores other keys in the same places
    for (int round = 0; round < rounds; ++round)
        for (float value : step.qkv)
            many.push_back(value * (1.0F + 0.1F * static_cast<float>(round)));
    const KvCache cache = world.cache();
    DeviceBuffer<float> qkv(many), frequency(step.frequency);
    DeviceBuffer<std::int32_t> position(step.position), slot(step.slot), table(world.table());
    DeviceBuffer<bf16> query(row);
    DeviceBuffer<f16> close(row * rounds), apart(row * rounds);
    DeviceBuffer<std::uint8_t> workspace(
        std::vector<std::uint8_t>(attend_workspace_bytes(T, {10, 128}, 128, 2000), 0));
    const StepTables tables{position.get(), slot.get(), table.get(), AttentionWorld::stride};
    for (f16* out : {close.get(), apart.get()})
        for (std::size_t round = 0; round < rounds; ++round) {
            rope_append(qkv.get() + round * step.qkv.size(), nullptr, frequency.get(), query.get(),
                        cache, AttentionWorld::layer, tables, {10, 128}, T, nullptr);
            if (out == apart.get()) check(cudaDeviceSynchronize());
            attend_decode(query.get(), out + round * row, false, cache, AttentionWorld::layer,
                          tables, {10, 128}, T, 2000, workspace.get(), nullptr);
            if (out == apart.get()) check(cudaDeviceSynchronize());
        }
    const auto behind = close.host();
    const auto alone = apart.host();
    REQUIRE(std::memcmp(behind.data(), alone.data(), behind.size() * 2) == 0);
    for (f16 value : behind) REQUIRE(std::isfinite(as_double(value)));
}
