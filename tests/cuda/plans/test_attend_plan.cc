// Whether decode attention's workspace holds every step of every engine's options, and which heads
// the kernels take. Needs no GPU.
#include <catch2/catch.hpp>
#include <initializer_list>

#include "engine/cuda/attend_plan.h"
#include "engine/cuda/step_sizes.h"
#include "tests/cuda/plans/models.h"

using namespace sluice::cuda;

namespace {

void require(bool holds, int at) {  // a million of REQUIREs would take minutes
    if (!holds) FAIL("not at " << at);
}

}  // namespace

TEST_CASE("the pieces of every context cover it and have a place", "[plans]") {
    for (int context = 1; context <= attended_max; ++context) {
        const int length = piece_length(context);
        const int pieces = (context + length - 1) / length;
        require(length % page_positions == 0 && length / page_positions <= 255, context);
        require(pieces >= 1 && pieces <= pieces_max, context);
        // A step's grid is made for its class of contexts.
        require(pieces <= pieces_of(context_class(context)), context);
    }
    CHECK(piece_length(attended_max + 1) / page_positions == 256);  // is no byte
}

TEST_CASE("a workspace holds every step of the options that it was taken for", "[plans]") {
    const ModelShape model = GENERATE(from_range(model_shapes));
    const auto contexts = {1, 64, 100, 256, 512, 513, 1000, 2048, 3000, 4096, 4097, 131072};
    for (const int context_max : contexts)
        for (int sequences = 1; sequences <= decode_sequences_max; ++sequences) {
            const DecodeRoom taken =
                most_decode_room(sequences, context_max, model.query_heads, model.head_dim);
            for (const int context : contexts) {
                if (context > context_max) continue;
                // All decode, which is padded, or some beside a prompt, which is not.
                for (const int T : {padded_tokens(sequences), sequences, 1}) {
                    const DecodeRoom step =
                        decode_room(T, model.query_heads, model.head_dim, context_class(context));
                    require(step.bytes <= taken.bytes, sequences);
                    require(step.partial_at % 16 == 0 && step.stats_at % 16 == 0, sequences);
                    require(step.stats_at + static_cast<std::size_t>(T) *
                                                static_cast<std::size_t>(model.query_heads) *
                                                static_cast<std::size_t>(step.pieces) * 8 ==
                                step.bytes,
                            sequences);
                }
            }
        }
}

TEST_CASE("steps that all decode are padded within the buffers", "[plans]") {
    for (int count = 1; count <= decode_sequences_max; ++count) {
        REQUIRE(padded_tokens(count) >= count);
        REQUIRE(padded_tokens(count) <= rows_of(count));
        REQUIRE(padded_tokens(count) <= decode_sequences_max);
        REQUIRE(padded_tokens(count) >= padded_tokens(count - 1));
        REQUIRE(buffer_rows(count) >= rows_of(count));
    }
}

TEST_CASE("the heads of every model are taken, and no others than the kernels are for", "[plans]") {
    for (const ModelShape& m : model_shapes)
        CHECK(attention_takes(m.query_heads, m.kv_heads, m.head_dim, m.head_dim));
    for (const int group : {1, 2, 3, 4, 5, 6, 7, 8, 16})
        CHECK(attention_takes(group * 4, 4, 128, 128));
    CHECK_FALSE(attention_takes(32, 1, 128, 128));  // more query heads than a warp's columns
    CHECK_FALSE(attention_takes(20, 8, 128, 128));
    CHECK_FALSE(attention_takes(128, 128, 64, 64));
    CHECK_FALSE(attention_takes(32, 8, 96, 96));
    CHECK_FALSE(attention_takes(32, 8, 128, 66));  // a lane turns two pairs at once
    CHECK(attention_takes(32, 8, 64, 34));
}

TEST_CASE("tiles of prompts have a place, however the tokens are cut", "[plans]") {
    for (const int tokens_max : {2, 257, 2080, 16640})
        for (const int sequences : {1, 2, 5, 32, 256}) {
            // The worst: all but one prompt of one token beyond full tiles.
            int left = tokens_max, tiles = 0;
            for (int i = 0; i < sequences && left > 0; ++i) {
                const int count = i + 1 < sequences ? std::min(left, i % 3 * 128 + 1) : left;
                tiles += (count + prefill_tile - 1) / prefill_tile;
                left -= count;
            }
            CHECK(tiles <= tiles_most(tokens_max, sequences));
            CHECK(tiles_most(tokens_max, sequences) <= 65535);  // the grid's second dimension
        }
}
