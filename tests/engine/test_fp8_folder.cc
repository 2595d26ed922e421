// A folder in fp8 and one in bf16 of the same numbers are the same network: every weight that a
// device may read is equal to the bit. (What computes with fp8 is a GPU: tests/cuda.)
#include <catch2/catch.hpp>

#include "engine/model/network.h"
#include "engine/model/quant.h"
#include "tests/engine/fp8_folder.h"

using namespace sluice;

namespace {

std::shared_ptr<const ModelFile> open(const HfFolder& folder) {
    auto file = ModelFile::open(folder.path());
    if (!file) FAIL(file.error().message);
    auto network = describe_network(**file);
    if (!network) FAIL(network.error().message);
    return *file;
}

// With the scale of each row.
std::vector<float> weights_of(const Tensor& tensor) {
    const std::int64_t columns = tensor.dims[0];
    std::vector<float> out(static_cast<std::size_t>(columns * tensor.rows()));
    dequantise(tensor.type, tensor.data, columns * tensor.rows(), out.data());
    for (std::size_t i = 0; i < out.size() && tensor.row_scale != nullptr; ++i)
        out[i] *= tensor.row_scale[i / static_cast<std::size_t>(columns)];
    return out;
}

}  // namespace

TEST_CASE("a folder in fp8 holds its bf16 twin's weights to the bit", "[safetensors]") {
    for (const Fp8Model& model : fp8_models()) {
        HfFolder folder, twin_folder;
        model.write_to(folder);
        model.write_twin_to(twin_folder);
        const auto file = open(folder), twin = open(twin_folder);
        REQUIRE(file->tensors().size() == twin->tensors().size());
        int in_fp8 = 0;
        for (const Tensor& tensor : file->tensors()) {
            CAPTURE(model.base.name, tensor.name);
            const Tensor* other = twin->tensor(tensor.name);
            REQUIRE(other != nullptr);
            REQUIRE(other->type != TensorType::fp8_e4m3);
            in_fp8 += tensor.type == TensorType::fp8_e4m3;
            CHECK(weights_of(tensor) == weights_of(*other));
        }
        CHECK(in_fp8 > 0);
    }
}
