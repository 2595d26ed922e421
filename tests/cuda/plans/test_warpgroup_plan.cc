// Whether the blocks of matmul_warpgroup compute every unit of every model's products once, and
// find the pieces of those that are cut. Needs no GPU.
#include <catch2/catch.hpp>
#include <initializer_list>
#include <vector>

#include "engine/cuda/arranged.h"
#include "engine/cuda/step_sizes.h"
#include "engine/cuda/warpgroup_plan.h"
#include "tests/cuda/plans/models.h"

using namespace sluice::cuda;

namespace {

void require(bool holds, const char* what) {  // a million of REQUIREs would take minutes
    if (!holds) FAIL(what);
}

Product product_of(int rows, int columns) {
    return {{WeightFormat::q4_k, rows, columns, nullptr, nullptr}, 0};
}

// Blocks' runs follow one another and end with the last unit; each unit has the block that it is
// in; of a block's items only the first and the last are cut, and a block is the first part of one
// cut item at most, whose counters are named after it.
void check_runs(const WarpgroupShares& shares) {
    const RunShares& run = shares.run;
    const int items = shares.groups * shares.token_tiles;
    const int left = items - shares.rounds * shares.blocks;
    require(left >= 0 && shares.blocks >= 1, "more whole items than there are");
    require(run.begin(0) == 0, "units before the first block's");
    require(run.begin(shares.blocks) == left * run.steps, "units behind the last block's");
    std::vector<int> named(static_cast<std::size_t>(shares.blocks), 0);
    for (int block = 0; block < shares.blocks; ++block) {
        const int begin = run.begin(block), end = run.begin(block + 1);
        require(begin <= end, "a run that ends before it begins");
        require(shares.rounds > 0 || begin < end, "a block without work");
        for (const int unit : {begin, end - 1})
            if (begin < end) require(run.block_of(unit) == block, "a unit of another block");
    }
    for (int item = 0; item < left; ++item) {
        const int first = run.block_of(item * run.steps);
        const int last = run.block_of((item + 1) * run.steps - 1);
        require(first >= 0 && last < shares.blocks && first <= last, "an item of no block");
        if (first == last) continue;
        require(++named[static_cast<std::size_t>(first)] == 1, "two items of one counter");
        // Only to the first of its parts may the item be the second one that is cut.
        for (int part = first + 1; part <= last; ++part)
            require(run.begin(part) > item * run.steps, "a part that is not cut at its head");
    }
}

}  // namespace

TEST_CASE("blocks share every product of every model to the last unit", "[plans]") {
    const ModelShape m = GENERATE(from_range(model_shapes));
    const int query = m.query_heads * m.head_dim, kv = m.kv_heads * m.head_dim;
    const std::vector<Product> query_key_value = {
        product_of(query, m.hidden), product_of(kv, m.hidden), product_of(kv, m.hidden)};
    const std::vector<Product> gate_up = {product_of(m.ffn, m.hidden), product_of(m.ffn, m.hidden)};
    const std::vector<std::vector<Product>> all = {query_key_value,
                                                   {product_of(m.hidden, query)},
                                                   {product_of(m.hidden, m.ffn)},
                                                   {product_of(m.vocab, m.hidden)}};
    for (const int processors : {132, 114, 78, 16, 1})
        for (const int step_columns : {128, 256})  // of q8_0, and of all others
            for (int T = 9; T <= 8192; T = T < 300 ? T + 1 : T + 331) {
                const auto check = [&](const std::vector<Product>& products, bool swiglu) {
                    const int steps =
                        (products.front().matrix.columns + step_columns - 1) / step_columns;
                    check_runs(share_warpgroups(products, swiglu, steps, T, processors));
                };
                for (const auto& products : all) check(products, false);
                check(gate_up, true);
            }
}

TEST_CASE("groups cover all rows, for SwiGLU of gate and of up", "[plans]") {
    for (int rows = 1; rows <= 1000; ++rows) {
        const Product product = product_of(rows, 256);
        REQUIRE(groups_of(product, false) * block_tiles * tile_rows >= rows);
        REQUIRE((groups_of(product, false) - 1) * block_tiles * tile_rows < rows);
        REQUIRE(groups_of(product, true) * block_tiles / 2 * tile_rows >= rows);
        REQUIRE((groups_of(product, true) - 1) * block_tiles / 2 * tile_rows < rows);
    }
}

TEST_CASE("tiles of tokens cover a step and stay within its buffers", "[plans]") {
    for (int T = 1; T <= 16640; ++T) {
        const int rows = warpgroup_rows(T);
        if (rows < T || rows % tile_tokens(T) != 0 || rows > buffer_rows(T) ||
            rows - T >= tile_tokens(T))
            FAIL("T " << T << " has " << rows << " rows");
    }
}

TEST_CASE("the steps of every width read columns that the arranged activations have", "[plans]") {
    for (const ModelShape& m : model_shapes)
        for (const int columns : {m.hidden, m.ffn, m.query_heads * m.head_dim})
            for (const WeightFormat format : {WeightFormat::q8_0, WeightFormat::q4_0}) {
                const int read = steps_of(format, columns) * step_layout(format).columns;
                CHECK(read <= padded_columns(columns));
                CHECK(read >= columns);
            }
}

TEST_CASE("the workspace's pieces are aligned and a counter stands for every pair", "[plans]") {
    for (int processors = 1; processors <= 200; ++processors) {
        REQUIRE(warpgroup_counter_bytes(processors) % 16 == 0);
        REQUIRE(warpgroup_room(processors) - warpgroup_counter_bytes(processors) ==
                std::size_t{2} * static_cast<std::size_t>(processors) * 256 * 128 * 4);
    }
}
