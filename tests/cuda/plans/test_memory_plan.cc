// Whether the buffers of a step hold what its kernels read and write, and how many pages of KV
// cache are taken. Needs no GPU.
#include <catch2/catch.hpp>

#include "engine/cuda/memory_plan.h"
#include "engine/cuda/warpgroup_plan.h"
#include "tests/cuda/plans/models.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

NetworkDescription network_of(const ModelShape& m) {
    NetworkDescription out;
    out.layers = m.layers;
    out.hidden = m.hidden;
    out.query_heads = m.query_heads;
    out.kv_heads = m.kv_heads;
    out.head_dim = out.rope_dims = m.head_dim;
    out.ffn = m.ffn;
    out.vocab = m.vocab;
    return out;
}

}  // namespace

TEST_CASE("activations hold whole tiles of every step, plain and arranged", "[plans]") {
    const NetworkDescription n = network_of(GENERATE(from_range(model_shapes)));
    for (const int sequences : {1, 5, 32, 100, 256})
        for (const int prompt : {1, 100, 256, 2048, 16384}) {
            const int most = prompt + sequences;
            const Activations bytes = plan_activations(n, most, sequences, 131072);
            for (const int T : {1, 9, 17, 33, 65, 129, 2047, most}) {
                if (T > most) continue;
                // The library's tiles of 64 rows, or those of warpgroups.
                const auto rows = static_cast<std::size_t>(std::max(rows_of(T), warpgroup_rows(T)));
                const auto wide = [&](int width) { return rows * static_cast<std::size_t>(width); };
                REQUIRE(bytes.hidden >= 4 * wide(n.hidden));
                REQUIRE(bytes.qkv >= 4 * wide(n.query_width() + 2 * n.kv_width()));
                REQUIRE(bytes.normed >= arranged_bytes(warpgroup_rows(T), n.hidden));
                REQUIRE(bytes.normed >= 2 * wide(n.hidden));
                REQUIRE(bytes.mixed >= arranged_bytes(warpgroup_rows(T), n.query_width()));
                REQUIRE(bytes.gated >= arranged_bytes(warpgroup_rows(T), n.ffn));
                REQUIRE(bytes.query >= 2 * wide(n.query_width()));
            }
            const auto samples = static_cast<std::size_t>(rows_of(padded_tokens(sequences)));
            REQUIRE(bytes.picked >= 4 * samples * static_cast<std::size_t>(n.hidden));
            REQUIRE(bytes.logits >= 4 * samples * static_cast<std::size_t>(n.vocab));
        }
}

TEST_CASE("the swap room has the places that are asked for, or a quarter of the pool", "[plans]") {
    constexpr std::int64_t page = 16 << 20, memory = std::int64_t{128} << 30;
    CHECK(plan_swap(0, 3400, page, memory) == 0);
    CHECK(plan_swap(1, 3400, page, memory) == 1);
    CHECK(plan_swap(65, 3400, page, memory) == 2);
    CHECK(plan_swap(-1, 800, page, memory) == 200);
    CHECK(plan_swap(-1, 8000, page, memory) == 1024);  // an eighth of the machine's memory
    CHECK(plan_swap(-1, 3, page, memory) == 0);
}

TEST_CASE("a sequence's pages have a place in the table", "[plans]") {
    const NetworkDescription n = network_of(model_shapes[0]);
    for (const int context : {1, 63, 64, 65, 8192, attended_max}) {
        const Activations bytes = plan_activations(n, 300, 7, context);
        CHECK(bytes.page_stride * page_positions >= context);
        CHECK(bytes.page_table == std::size_t{4} * 7 * static_cast<std::size_t>(bytes.page_stride));
    }
}

TEST_CASE("every token that a step may bias or penalise has a place", "[plans]") {
    CHECK(adjustments_most(49152, 1, 2048) == 2048 + 1024);
    CHECK(adjustments_most(49152, 32, 2048) == 32 * 3072);
    // No more than there are tokens, each once.
    CHECK(adjustments_most(151936, 256, 131072) == 256 * (131072 + 1024));
    CHECK(adjustments_most(128256, 256, 131072) == 256 * 128256);
    // A crowd that biases and penalises all that it can.
    for (const int sequences : {1, 7, 256})
        for (const int context : {64, 32768, 131072})
            CHECK(adjustments_most(151936, sequences, context) / sequences ==
                  std::min(151936, context + Sampling::logit_bias_max));
}

TEST_CASE("what the log says of the memory adds up to the card", "[plans]") {
    constexpr std::int64_t mebibyte = 1 << 20;
    const MemoryShares shares{81559 * mebibyte,
                              18931 * mebibyte + 7,
                              301 * mebibyte - 1,
                              455 * mebibyte + 9,
                              21 * mebibyte + 1,
                              58000 * mebibyte,
                              1031 * mebibyte + mebibyte / 2};
    const MemoryLine line = memory_line(shares);
    CHECK(line.card == 81559);
    CHECK(line.weights == 18931);
    CHECK(line.activations == 300);
    CHECK(line.free == 1031);
    CHECK(line.other > 0);
    CHECK(line.weights + line.activations + line.products + line.steps + line.kv + line.free +
              line.other ==
          line.card);
}

TEST_CASE("no room for the KV cache is said with what would make room", "[plans]") {
    constexpr std::int64_t page = std::int64_t{2} * 80 * 8 * 64 * 128 * 2;
    const std::size_t little = reserve_bytes / 4;
    const KvPages none = plan_kv(little, page, 0, 32, 2048);
    REQUIRE_FALSE(none.fits());
    const std::string nothing = no_room_for_kv(none, 0, little, true);
    CHECK_THAT(nothing, Catch::Contains("256 MiB free beside the weights") &&
                            Catch::Contains("smaller model or quantisation") &&
                            Catch::Contains("kv_format to fp8") && !Catch::Contains("kv_tokens"));
    const std::size_t some = reserve_bytes / 2 + 100 * page;
    const KvPages few = plan_kv(some, page, 10000, 32, 2048);
    REQUIRE_FALSE(few.fits());
    CHECK_THAT(no_room_for_kv(few, 10000, some, true),
               Catch::Contains("room for 6400 tokens") &&
                   Catch::Contains("kv_tokens asks for 10000") && Catch::Contains("fp8"));
    CHECK_THAT(no_room_for_kv(few, 10000, some, false), !Catch::Contains("fp8"));
}

TEST_CASE("the KV cache takes what is asked for, or what there is room for", "[plans]") {
    constexpr std::int64_t page = std::int64_t{2} * 80 * 8 * 64 * 128 * 2;  // of the 70B, bf16
    constexpr std::size_t free = reserve_bytes + 100 * page + 5;
    CHECK(plan_kv(free, page, 0, 32, 2048).pages == 100);
    CHECK(plan_kv(free, page, 0, 1, 10).pages == 10);  // no more than sequences can use
    constexpr std::size_t exact = reserve_bytes / 2 + 100 * page + 5;
    CHECK(plan_kv(exact, page, 6401, 32, 2048).pages == 101);
    CHECK_FALSE(plan_kv(exact, page, 6401, 32, 2048).fits());
    CHECK(plan_kv(exact, page, 6400, 32, 2048).fits());
    CHECK_FALSE(plan_kv(reserve_bytes, page, 0, 32, 2048).fits());
    CHECK_FALSE(plan_kv(0, page, 64, 32, 2048).fits());
    CHECK_FALSE(plan_kv(free, page, std::int64_t{1} << 31, 32, 2048).fits());
    // Opened again, beside the code of its kernels.
    CHECK(plan_kv(free - (std::size_t{400} << 20), page, 100 * page_positions, 32, 2048).fits());
    CHECK(plan_kv(free, page, 0, decode_sequences_max, attended_max / page_positions).pages == 100);
}
