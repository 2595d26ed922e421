// What the CUDA device refuses, and how clearly, before there has to be a GPU.
#include <catch2/catch.hpp>

#include "engine/cuda/attend_plan.h"
#include "engine/cuda/cuda_device.h"
#include "engine/cuda/failure_text.h"
#include "engine/cuda/find_gpu.h"
#include "engine/cuda/opening.h"
#include "tests/cuda/device_walk.h"
#include "tests/engine/fp8_folder.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

namespace {

TinyModel tiny() {
    TinyModel model;
    model.head_dim = model.rope_dims = 64;
    model.hidden = 256;
    model.ffn = 512;
    model.vocab = 300;
    model.context = 2'000'000;
    model.type = TensorType::q8_0;
    return model;
}

EngineOptions options_on_gpu() {
    EngineOptions options;
    options.device = "cuda";
    options.prefill_tokens_max = 256;
    options.context_tokens_max = 1024;
    return options;
}

Status checked(const EngineOptions& options, const TinyModel& shape) {
    const TempFile bytes(shape.bytes());
    const OpenedModel model(bytes.path());
    return cuda::check_opening(options, *model.file, model.network);
}

void check_refused(const Status& status, Errc code, const std::string& says) {
    REQUIRE_FALSE(status);
    CHECK(status.error().code == code);
    CHECK_THAT(status.error().message, Catch::Contains(says));
}

}  // namespace

TEST_CASE("what the CUDA device takes is refused nothing", "[plans]") {
    CHECK(checked(options_on_gpu(), tiny()));
}

TEST_CASE("more tokens than attention's pieces hold are refused with the number", "[plans]") {
    EngineOptions options = options_on_gpu();
    options.context_tokens_max = 0;
    check_refused(checked(options, tiny()), Errc::bad_config, "2000000 tokens (the model's own)");
    options.context_tokens_max = cuda::attended_max + 1;
    check_refused(checked(options, tiny()), Errc::bad_config, "set context_tokens_max to 522240");
    options.context_tokens_max = cuda::attended_max;
    CHECK(checked(options, tiny()));
}

TEST_CASE("heads that no kernel is made for are refused", "[plans]") {
    TinyModel model = tiny();
    model.query_heads = 34;
    check_refused(checked(options_on_gpu(), model), Errc::bad_file, "34 query heads");
    CHECK(checked(options_on_gpu(), model).error().message.front() == '/');  // the file's path
    model = tiny();
    model.head_dim = model.rope_dims = 32;
    check_refused(checked(options_on_gpu(), model), Errc::bad_file, "heads of 64 and 128");
    model = tiny();
    model.head_dim = 128;
    model.rope_dims = 66;
    check_refused(checked(options_on_gpu(), model), Errc::bad_file, "of which 66 rotate");
}

TEST_CASE("rows that are no multiple of 16 are refused before a GPU is looked for", "[plans]") {
    TinyModel model = tiny();
    model.type = TensorType::f16;
    model.ffn = 520;
    const TempFile bytes(model.bytes());
    const OpenedModel opened(bytes.path());
    const auto device = open_cuda_device(options_on_gpu(), opened.file, opened.network);
    REQUIRE_FALSE(device);
    CHECK_THAT(device.error().message, Catch::Contains("multiples of 16"));
}

TEST_CASE("a block's scale that the products do not take is refused by its tensor and place",
          "[plans]") {
    TinyModel shape = tiny();
    shape.type = GENERATE(TensorType::q4_k, TensorType::q5_k);
    shape.ffn = 8448;  // more blocks than a thread looks at in one go
    std::string bytes = shape.bytes();
    const TempFile sound(bytes);
    const OpenedModel model(sound.path());
    const Tensor* tensor = model.file->tensor("blk.1.ffn_up.weight");
    REQUIRE(tensor != nullptr);
    const auto block = static_cast<std::size_t>(block_bytes(tensor->type));
    const std::size_t last = static_cast<std::size_t>(tensor->bytes) / block - 1;
    REQUIRE(last > 8192);
    const std::size_t at = static_cast<std::size_t>(tensor->file_offset) +
                           block * GENERATE_COPY(values<std::size_t>({0, 8191, 8192, last}));
    // As f16s: a little below 2 and 512, these, below minus these, infinity and NaN.
    const auto [d, dmin, fits] = GENERATE(table<int, int, bool>({{0x3FFF, 0x5FFF, true},
                                                                 {0x4000, 0x1400, false},
                                                                 {0x0800, 0x6000, false},
                                                                 {0xC000, 0x1400, false},
                                                                 {0x0800, 0xE001, false},
                                                                 {0x7C00, 0x1400, false},
                                                                 {0x0800, 0x7E00, false}}));
    CAPTURE(d, dmin, at);
    for (std::size_t i = 0; i < 2; ++i) {
        bytes[at + i] = static_cast<char>(d >> 8 * i & 255);
        bytes[at + 2 + i] = static_cast<char>(dmin >> 8 * i & 255);
    }
    const TempFile file(bytes);
    const OpenedModel other(file.path());
    const Status status = cuda::check_opening(options_on_gpu(), *other.file, other.network);
    REQUIRE(status.has_value() == fits);
    if (fits) return;
    check_refused(status, Errc::bad_file,
                  "'blk.1.ffn_up.weight' at offset " + std::to_string(tensor->file_offset));
    check_refused(status, Errc::bad_file, "block at offset " + std::to_string(at) + " whose");
}

TEST_CASE("fp8 weights are refused on a card without fp8 products, others are not", "[plans]") {
    const HfFolder folder, twin_folder;
    fp8_models().front().write_to(folder);
    fp8_models().front().write_twin_to(twin_folder);
    const OpenedModel fp8(folder.path()), twin(twin_folder.path());
    EngineOptions options = options_on_gpu();
    const auto on = [&](const OpenedModel& model, int major, int minor) {
        return cuda::check_fp8(options, *model.file, model.network, major, minor);
    };
    for (const auto& [major, minor] : {std::pair{8, 0}, std::pair{8, 6}}) {
        check_refused(on(fp8, major, minor), Errc::bad_config,
                      "fp8 weights need compute capability 8.9; take bf16 or a GGUF");
        CHECK(on(twin, major, minor));
    }
    CHECK(on(fp8, 8, 9));
    CHECK(on(fp8, 9, 0));
    CHECK(on(fp8, 12, 0));
    options.batch_invariant = true;  // no product goes to the library
    CHECK(on(fp8, 8, 0));
}

TEST_CASE("a failed call's words hold no place in the source, which the log is told", "[plans]") {
    try {
        cuda::check(cudaErrorLaunchFailure);
        FAIL("it did not throw");
    } catch (const cuda::CudaFailure& failure) {
        const cuda::FailureText text = cuda::text_of(failure);
        CHECK(text.words == "unspecified launch failure (cudaErrorLaunchFailure)");
        CHECK_THAT(text.place, Catch::Contains("test_opening.cc:"));
    }
    const cuda::FailureText whole = cuda::text_of(cuda::CudaFailure("no 4 MiB at all"));
    CHECK(whole.words == "no 4 MiB at all");
    CHECK(whole.place.empty());
}

TEST_CASE("that no GPU can be used is said with what would be right", "[plans]") {
    for (const cudaError_t result : {cudaErrorInsufficientDriver, cudaErrorNoDevice, cudaSuccess}) {
        const std::string text = cuda::no_gpu_text(result);
        CHECK_THAT(text, Catch::Contains("device 'cuda' asked for, but no GPU can be used: ") &&
                             Catch::Contains("nvidia-smi") && Catch::Contains("device 'cpu'") &&
                             !Catch::Contains("no error"));
    }
}
