// Whether there is a kernel for what the ways say there is, and whether each fits a block of every
// card. Needs no GPU.
#include <catch2/catch.hpp>

#include "engine/cuda/ways.h"
#include "tests/cuda/plans/kernels.h"
#include "tests/cuda/plans/models.h"

using namespace sluice::cuda;

namespace {

constexpr WeightFormat formats[] = {WeightFormat::bf16, WeightFormat::f16,  WeightFormat::fp8_e4m3,
                                    WeightFormat::q8_0, WeightFormat::q4_0, WeightFormat::q4_1,
                                    WeightFormat::q4_k, WeightFormat::q5_k, WeightFormat::q6_k};

// See(first, second) of every pair in the order that tables of kernels want.
template <class See>
void each_pair(const See& see) {
    for (const WeightFormat first : formats)
        for (const WeightFormat second : formats)
            if (first <= second) see(first, second);
}

}  // namespace

TEST_CASE("there are kernels for the formats that go together, and for no others", "[plans]") {
    each_pair([](WeightFormat first, WeightFormat second) {
        CAPTURE(static_cast<int>(first), static_cast<int>(second));
        const bool together = one_launch(first, second);
        const bool by_codes = together && quantised(first) && quantised(second);
        CHECK(decode_needs(first, second, 1, 1, false, false).there == together);
        CHECK(decode_needs(first, second, 4, 8, false, true).there == together);
        CHECK(one_code_needs(first, second, 1, false, false).there == by_codes);
        CHECK((several_code_warps(first, second, 8).most > 0) == by_codes);
        for (const int tokens : {16, 32, 64, 128})
            CHECK(warpgroup_needs(first, second, tokens).there == by_codes);
    });
}

TEST_CASE("a product of any number of tokens finds a kernel that fits a block", "[plans]") {
    each_pair([](WeightFormat first, WeightFormat second) {
        if (!one_launch(first, second)) return;
        for (const Card& card : cards)
            for (int segments = 1; segments <= segments_max; ++segments)
                for (int T = 1; T <= decode_tokens_max; ++T)
                    for (const bool swiglu : {false, true})
                        for (const bool few : {false, true}) {
                            if (few && (swiglu || T > 4)) continue;
                            // As matmul_decode does: half the tokens until they fit.
                            int now = T;
                            auto needs = decode_needs(first, second, now, segments, swiglu, few);
                            while (static_cast<int>(needs.shared_bytes) > card.block_shared_bytes &&
                                   now > 1) {
                                now = (now + 1) / 2;
                                needs = decode_needs(first, second, now, segments, swiglu,
                                                     few && now <= 4);
                            }
                            CAPTURE(static_cast<int>(first), static_cast<int>(second), T, segments);
                            if (static_cast<int>(needs.shared_bytes) > card.block_shared_bytes ||
                                needs.threads < 32 || needs.threads > 1024 || needs.tiles < 1)
                                FAIL("no kernel fits " << card.block_shared_bytes << " bytes");
                        }
    });
}

TEST_CASE("integers of every model fit a block with the kernels' own sizes", "[plans]") {
    for (const ModelShape& m : model_shapes)
        for (const int columns : {m.hidden, m.ffn, m.query_heads * m.head_dim})
            each_pair([&](WeightFormat first, WeightFormat second) {
                const Product one[] = {{{first, m.ffn, columns, nullptr, nullptr}},
                                       {{second, m.ffn, columns, nullptr, nullptr}}};
                for (const Card& card : cards) {
                    if (!codes_take(card, one)) continue;
                    CAPTURE(m.name, columns, static_cast<int>(first), card.block_shared_bytes);
                    for (const bool swiglu : {false, true}) {
                        const auto narrow = one_code_needs(first, second, 1, swiglu, false);
                        REQUIRE(static_cast<int>(narrow.shared_bytes) <= card.block_shared_bytes);
                        for (int T = 2; T <= coded_tokens_max; ++T) {
                            const CodesWarps warps = several_code_warps(first, second, T);
                            const int sides = swiglu ? 2 : 1;
                            const CodesPlan plan = plan_codes(coded_steps(columns), T, sides,
                                                              card.block_shared_bytes, warps);
                            const int team = plan.splits * sides;
                            REQUIRE(plan.teams >= 1);
                            REQUIRE(plan.x_room + plan.teams * team * warps.bytes <=
                                    card.block_shared_bytes);
                            REQUIRE(plan.parts * plan.splits <= segments_max);
                            // A barrier each, beside the block's own; a lone warp needs none.
                            REQUIRE((team == 1 || plan.teams <= 15));
                        }
                    }
                }
            });
}

TEST_CASE("kernels of warpgroups fit a block of the card that has them", "[plans]") {
    each_pair([](WeightFormat first, WeightFormat second) {
        for (const int tokens : {16, 32, 64, 128}) {
            const KernelNeeds needs = warpgroup_needs(first, second, tokens);
            if (!needs.there) continue;
            CHECK(static_cast<int>(needs.shared_bytes) <= h100.block_shared_bytes);
            CHECK(needs.tiles == tokens);
            CHECK(needs.threads <= 1024);
        }
    });
}
