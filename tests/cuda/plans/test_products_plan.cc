// Which way the products of real models go on each card, and whether what was taken for them is
// enough. Needs no GPU.
#include <catch2/catch.hpp>
#include <initializer_list>
#include <set>

#include "engine/cuda/fp8.h"
#include "engine/cuda/products_plan.h"
#include "engine/cuda/warpgroup_plan.h"
#include "tests/cuda/plans/models.h"

using namespace sluice::cuda;

namespace {

const std::initializer_list<int> some_tokens = {1,   2,   3,   4,   5,   8,   9,    15,   16,  17,
                                                31,  32,  33,  63,  64,  65,  100,  127,  128, 129,
                                                192, 193, 255, 256, 257, 500, 1000, 2079, 2080};

void require(bool holds) {  // a million of REQUIREs would take minutes
    if (!holds) FAIL("the plan has no room for a product");
}

// What the way of a product of T tokens reads and writes, of what the plan has taken.
void check_room(const ProductsPlan& plan, std::span<const Product> products, Role role, int T,
                bool arranged) {
    const Matrix& first = products.front().matrix;
    const auto rows = static_cast<std::size_t>(rows_of(T));
    const auto columns = static_cast<std::size_t>(first.columns);
    switch (way_of(plan, products, T)) {
        case Way::few:
            return;
        case Way::codes: {
            require(plan.coded_bytes >= coded_size(T, first.columns));
            return;
        }
        case Way::warpgroups:
            require(plan.warpgroups);
            require(arranged ||
                    plan.arranged_bytes >= arranged_bytes(warpgroup_rows(T), first.columns));
            return;
        case Way::library:
            break;
    }
    require(plan.library);
    std::size_t as_f16 = 0, widest = 0;
    for (const Product& one : products) {
        const auto product_rows = static_cast<std::size_t>(one.matrix.rows);
        if (quantised(one.matrix.format)) as_f16 += product_rows * columns * 2;
        widest = std::max(widest, product_rows);
    }
    require(as_f16 <= plan.scratch_bytes);
    if (role == Role::gate_up) require(plan.gate_up_bytes >= rows * 2 * widest * 2);
    if (first.format != WeightFormat::fp8_e4m3) return;
    require(plan.fp8_codes_bytes >= rows * columns);
    require(plan.fp8_scale_bytes >= rows * sizeof(float));
    if (role == Role::gate_up) require(plan.fp8_codes_bytes >= rows * widest);
    if (role == Role::attention_output || role == Role::down)
        require(plan.gate_up_bytes >= rows * widest * sizeof(float));
    for (const Product& one : products) require(one.matrix.rows % 16 == 0);
}

void check_layer(const ProductsPlan& plan, const LayerOnDevice& layer, int T) {
    const Product query[] = {{layer.query}, {layer.key}, {layer.value}};
    const Product attention_output[] = {{layer.attention_output}};
    const Product gate_up[] = {{layer.gate}, {layer.up}};
    const Product down[] = {{layer.down}};
    check_room(plan, query, Role::query, T, false);
    check_room(plan, attention_output, Role::attention_output, T, false);
    check_room(plan, gate_up, Role::gate_up, T, false);
    check_room(plan, down, Role::down, T, arranges_gated(plan.card, layer));
    // SwiGLU of fp8 leaves codes for the next product and nothing else: both go the same way.
    if (layer.gate.format == WeightFormat::fp8_e4m3)
        require(way_of(plan, gate_up, T) == way_of(plan, down, T));
}

ProductsPlan plan_of(const Weights& weights, const Card& card) {
    return plan_products(weights.layers, weights.output, card, 2080, false);
}
const ModelShape& model(std::string_view name) {
    for (const ModelShape& one : model_shapes)
        if (one.name == name) return one;
    FAIL("no such model");
    return model_shapes[0];
}

}  // namespace

TEST_CASE("every product of every model has room for its way, on every card", "[plans]") {
    const ModelShape shape = GENERATE(from_range(model_shapes));
    for (const Recipe recipe : recipes) {
        const Weights weights = weights_of(recipe, shape);
        for (const Card& card : cards)
            for (const bool one_way : {false, true}) {
                CAPTURE(shape.name, static_cast<int>(recipe), card.processors, one_way);
                const ProductsPlan plan =
                    plan_products(weights.layers, weights.output, card, 2080, one_way);
                for (const int T : some_tokens) {
                    for (const LayerOnDevice& layer : weights.layers) check_layer(plan, layer, T);
                    const Product output[] = {{weights.output}};
                    if (T <= 256) check_room(plan, output, Role::output, T, false);
                }
            }
    }
}

TEST_CASE("a step of one token has the same room as one of sixteen thousand", "[plans]") {
    const Weights weights = weights_of(Recipe::q4_k_m, model("Llama 3.1 70B"));
    for (const Card& card : cards)
        for (const int most : {1 + 1, 16384 + 256}) {
            const ProductsPlan plan =
                plan_products(weights.layers, weights.output, card, most, false);
            for (int T = 1; T <= rows_of(most); T = T < 300 ? T + 1 : T + 997)
                for (const LayerOnDevice& layer : weights.layers) check_layer(plan, layer, T);
        }
}

TEST_CASE("the 32B needs no library on an H100, and nothing is written out", "[plans]") {
    for (const Recipe recipe : {Recipe::q4_k_m, Recipe::q8_0, Recipe::q4_0, Recipe::q5_k_m}) {
        const Weights weights = weights_of(recipe, model("Qwen2.5 32B"));
        const ProductsPlan plan = plan_of(weights, h100);
        CHECK_FALSE(plan.library);
        CHECK(plan.scratch_bytes + plan.gate_up_bytes + plan.fp8_codes_bytes == 0);
        // As much as attention's output takes, not as gate and up: those come arranged.
        CHECK(plan.arranged_bytes == arranged_bytes(buffer_rows(2080), 5120));
        CHECK(plan_of(weights, a100).library);
    }
}

TEST_CASE("of the 70B's Q4_K_M only what has q5_k beside q4_k is written out", "[plans]") {
    const Weights weights = weights_of(Recipe::q4_k_m, model("Llama 3.1 70B"));
    const ProductsPlan plan = plan_of(weights, h100);
    const LayerOnDevice& mixed = weights.layers[10];
    REQUIRE(mixed.value.format == WeightFormat::q5_k);
    const Product query[] = {{mixed.query}, {mixed.key}, {mixed.value}};
    const Product gate_up[] = {{mixed.gate}, {mixed.up}};
    CHECK(way_of(plan, query, 1) == Way::few);
    CHECK(way_of(plan, query, 192) == Way::few);
    CHECK(way_of(plan, query, 193) == Way::library);
    CHECK(way_of(plan, gate_up, 1) == Way::codes);
    CHECK(way_of(plan, gate_up, 193) == Way::warpgroups);
    CHECK(plan.scratch_bytes == std::size_t{8192 + 2048} * 8192 * 2);
    CHECK(plan.gate_up_bytes == 0);
}

TEST_CASE("of Q4_K_S the first layers' queries, keys and values alone are written out", "[plans]") {
    const Weights weights = weights_of(Recipe::q4_k_s, model("Qwen2.5 32B"));
    const ProductsPlan plan = plan_of(weights, h100);
    const auto query_way = [&](std::size_t at, int T) {
        const LayerOnDevice& layer = weights.layers[at];
        const Product query[] = {{layer.query}, {layer.key}, {layer.value}};
        return way_of(plan, query, T);
    };
    CHECK(query_way(3, 8) == Way::few);
    CHECK(query_way(3, 512) == Way::library);
    CHECK(query_way(4, 8) == Way::codes);
    CHECK(query_way(4, 512) == Way::warpgroups);
    for (const LayerOnDevice& layer : weights.layers) {
        const Product down[] = {{layer.down}};
        REQUIRE(way_of(plan, down, 512) == Way::warpgroups);  // q5_k, too, where it is alone
    }
    CHECK(plan.scratch_bytes == std::size_t{5120 + 2 * 1024} * 5120 * 2);
}

TEST_CASE("an f16 output behind quantised layers has a library", "[plans]") {
    const Weights weights = weights_of(Recipe::q8_0_f16_head, model("Qwen2.5 7B"));
    const ProductsPlan plan = plan_of(weights, h100);
    const Product output[] = {{weights.output}};
    CHECK(plan.library);
    CHECK(way_of(plan, output, 16) == Way::few);
    CHECK(way_of(plan, output, 17) == Way::library);
}

TEST_CASE("fp8 in some layers only has codes all the same", "[plans]") {
    const Weights weights = weights_of(Recipe::fp8_inner, model("Llama 3.1 8B"));
    REQUIRE(weights.layers.front().gate.format == WeightFormat::bf16);
    const ProductsPlan plan = plan_of(weights, h100);
    CHECK(plan.fp8_codes_bytes == std::size_t{2176} * 14336);
    CHECK(plan.fp8_scale_bytes > 0);
}

TEST_CASE("an fp8 output of odd rows never goes to the library", "[plans]") {
    const Weights odd = weights_of(Recipe::fp8_head, model("Llama 3.1 8B with two tokens more"));
    const Weights even = weights_of(Recipe::fp8_head, model("Llama 3.1 8B"));
    const Product odd_output[] = {{odd.output}}, even_output[] = {{even.output}};
    CHECK(way_of(plan_of(odd, h100), odd_output, 64) == Way::few);
    CHECK(way_of(plan_of(even, h100), even_output, 64) == Way::library);
}

TEST_CASE("every mix of formats of the layers is met once", "[plans]") {
    const auto kinds = [](Recipe recipe, std::string_view name) {
        return kinds_of(weights_of(recipe, model(name)).layers).size();
    };
    CHECK(kinds(Recipe::q8_0, "Qwen2.5 32B") == 1);
    CHECK(kinds(Recipe::q4_k_m, "Qwen2.5 32B") == 2);
    CHECK(kinds(Recipe::q4_k_s, "Qwen2.5 32B") == 3);  // values and down with five bits, down, none
    CHECK(kinds(Recipe::fp8_inner, "Llama 3.1 8B") == 2);
}

TEST_CASE("with one way nothing but matmul_decode is asked", "[plans]") {
    const Weights weights = weights_of(Recipe::q4_k_m, model("Qwen2.5 32B"));
    const ProductsPlan plan = plan_products(weights.layers, weights.output, h100, 2080, true);
    const Product down[] = {{weights.layers[0].down}};
    for (const int T : some_tokens) REQUIRE(way_of(plan, down, T) == Way::few);
    CHECK_FALSE(plan.library);
}
