// Random weights of known shapes take what the real checkpoints' files take.
#include "engine/model/shape_file.h"

#include <catch2/catch.hpp>

#include "engine/model/model_file.h"

namespace {

double gigabytes(std::string_view shape, std::string_view quant) {
    auto file = sluice::make_shape_file(shape, quant);
    REQUIRE(file);
    double bytes = 0;
    for (const sluice::Tensor& one : (*file)->tensors()) bytes += static_cast<double>(one.bytes);
    return bytes / 1e9;
}

}  // namespace

TEST_CASE("a shape of random weights is as large as the model's own file", "[shape_file]") {
    CHECK(gigabytes("r1-distill-qwen-32b", "q4_k_m") == Approx(19.85).margin(0.01));
    CHECK(gigabytes("r1-distill-llama-70b", "q4_k_m") == Approx(42.52).margin(0.01));
    CHECK(gigabytes("r1-distill-llama-8b", "bf16") == Approx(16.06).margin(0.01));
}

TEST_CASE("an unknown shape or quantisation is named with those there are", "[shape_file]") {
    auto shape = sluice::make_shape_file("qwen-32b", "q4_k_m");
    REQUIRE_FALSE(shape);
    CHECK_THAT(shape.error().message,
               Catch::Contains("'qwen-32b'") && Catch::Contains("r1-distill-llama-70b"));
    auto quant = sluice::make_shape_file("r1-distill-qwen-32b", "q2_k");
    REQUIRE_FALSE(quant);
    CHECK_THAT(quant.error().message, Catch::Contains("'q2_k'") && Catch::Contains("q4_k_m"));
}
