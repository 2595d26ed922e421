#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/cpu/cpu_device.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

namespace {

struct Model {
    TempFile path;
    std::shared_ptr<const ModelFile> file;
    NetworkDescription network;

    explicit Model(const std::string& bytes) : path(bytes) {
        auto opened = GgufFile::open(path.path());
        REQUIRE(opened);
        file = *opened;
        auto described = describe_network(*file);
        REQUIRE(described);
        network = *described;
    }
    Result<std::unique_ptr<Device>> open(const EngineOptions& options) const {
        return open_cpu_device(options, file, network);
    }
};

EngineOptions small_options() {
    EngineOptions options;
    options.threads = 2;
    options.sequences_max = 4;
    options.prefill_tokens_max = 64;
    options.kv_tokens = 320;
    return options;
}

struct Seat {
    std::vector<TokenId> tokens;
    std::vector<std::int32_t> pages;
    Sampling sampling;

    StepSequence step(int slot, bool sample) const {
        StepSequence s;
        s.slot = slot;
        s.tokens = tokens;
        s.pages = pages;
        s.sample = sample;
        s.sampling = &sampling;
        s.history = tokens;
        s.prompt_tokens = static_cast<int>(tokens.size());
        return s;
    }
};

Seat seat(std::vector<TokenId> tokens, std::vector<std::int32_t> pages) {
    Seat out{std::move(tokens), std::move(pages), {}};
    out.sampling.temperature = 0.0F;
    out.sampling.top_logprobs = 3;
    return out;
}

}  // namespace

TEST_CASE("a step gives one token for each sequence that samples, in order", "[device]") {
    Model model(TinyModel{}.bytes());
    auto device = model.open(small_options());
    REQUIRE(device);
    CHECK((*device)->info().page_tokens == 32);
    CHECK((*device)->info().pages == 10);
    Seat first = seat({1, 2, 3}, {9});
    Seat second = seat({7}, {0});
    Seat third = seat({3, 2, 1, 0}, {5});
    const StepSequence step[] = {first.step(3, true), second.step(0, false), third.step(1, true)};
    REQUIRE((*device)->begin(step));
    auto sampled = (*device)->finish();
    REQUIRE(sampled);
    REQUIRE(sampled->size() == 2);
    CHECK((*sampled)[0].slot == 3);
    CHECK((*sampled)[1].slot == 1);
    for (const Sampled& one : *sampled) {
        CHECK_FALSE(one.failed);
        CHECK(one.logprobs.top.size() == 3);
        CHECK(one.logprobs.top[0].token == one.token);
    }
    // The same again, alone: greedy tokens do not depend on the company.
    TokenId expected = (*sampled)[1].token;
    const StepSequence alone[] = {third.step(0, true)};
    REQUIRE((*device)->begin(alone));
    sampled = (*device)->finish();
    REQUIRE(sampled);
    CHECK((*sampled)[0].token == expected);
}

TEST_CASE("the hidden state is what the logits are made of, and the probe reads it", "[device]") {
    const TinyModel shape;
    Model model(shape.bytes());
    EngineOptions options = small_options();
    options.probe.bias = -2.0F;
    for (int h = 0; h < shape.hidden; ++h)
        options.probe.weights.push_back(static_cast<float>(h % 7) - 3.0F);
    auto device = model.open(options);
    REQUIRE(device);
    Seat first = seat({1, 2, 3}, {9});
    Seat second = seat({4, 5}, {2});
    StepSequence step[] = {first.step(0, true), second.step(1, true)};
    step[1].hidden = true;
    REQUIRE((*device)->begin(step));
    auto sampled = (*device)->finish();
    REQUIRE(sampled);
    const Sampled& asked = (*sampled)[1];
    CHECK((*sampled)[0].hidden.empty());
    CHECK_FALSE(std::isnan((*sampled)[0].probe));
    REQUIRE(asked.hidden.size() == static_cast<std::size_t>(shape.hidden));
    const auto* rows = reinterpret_cast<const float*>(model.file->tensor("output.weight")->data);
    const auto logit = [&](TokenId token) {
        return std::inner_product(asked.hidden.begin(), asked.hidden.end(),
                                  rows + std::ptrdiff_t{token} * shape.hidden, 0.0F);
    };
    const auto& top = asked.logprobs.top;
    CHECK(logit(top[0].token) - logit(top[1].token) ==
          Approx(top[0].logprob - top[1].logprob).margin(1e-5));
    CHECK(asked.probe == Approx(std::inner_product(asked.hidden.begin(), asked.hidden.end(),
                                                   options.probe.weights.begin(), -2.0F))
                             .margin(1e-4));
    options.probe.weights.push_back(1.0F);
    auto refused = model.open(options);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "the probe has 41 weights; this model's hidden state has 40");
}

TEST_CASE("an empty step gives nothing", "[device]") {
    Model model(TinyModel{}.bytes());
    auto device = model.open(small_options());
    REQUIRE(device);
    REQUIRE((*device)->begin({}));
    auto sampled = (*device)->finish();
    REQUIRE(sampled);
    CHECK(sampled->empty());
}

TEST_CASE("NaN weights fail the sequences that meet them", "[device]") {
    std::string bytes = TinyModel{}.bytes();
    {
        Model model(bytes);
        const Tensor* embedding = model.file->tensor("token_embd.weight");
        float nan = std::numeric_limits<float>::quiet_NaN();
        // Row 2 of the embedding; the output is a matrix of its own.
        std::memcpy(bytes.data() + embedding->file_offset + 2 * 40 * sizeof nan, &nan, sizeof nan);
    }
    Model model(bytes);
    auto device = model.open(small_options());
    REQUIRE(device);
    Seat good = seat({1, 3}, {1});
    Seat bad = seat({1, 2}, {2});
    const StepSequence step[] = {good.step(0, true), bad.step(1, true)};
    REQUIRE((*device)->begin(step));
    auto sampled = (*device)->finish();
    REQUIRE(sampled);
    CHECK_FALSE((*sampled)[0].failed);
    CHECK((*sampled)[1].failed);
}

TEST_CASE("a step outside the device's limits is refused before it runs", "[device]") {
    Model model(TinyModel{}.bytes());
    auto device = model.open(small_options());
    REQUIRE(device);
    auto refused = [&](const Seat& one) {
        const StepSequence step[] = {one.step(0, true)};
        Status begun = (*device)->begin(step);
        return !begun && begun.error().code == Errc::internal;
    };
    CHECK(refused(seat({1}, {10})));
    CHECK(refused(seat({1}, {-1})));
    CHECK(refused(seat({}, {1})));
    CHECK(refused(seat({51}, {1})));
    CHECK(refused(seat({-1}, {1})));
    CHECK(refused(seat(std::vector<TokenId>(33, 1), {1})));
    CHECK(refused(seat(std::vector<TokenId>(69, 1), {1, 2, 3})));
    CHECK_FALSE(refused(seat(std::vector<TokenId>(68, 1), {1, 2, 3})));
}

TEST_CASE("the pool of a small model holds one context unless more is asked for", "[device]") {
    TinyModel tiny;
    tiny.ffn = 32;
    Model model(tiny.bytes());
    auto tokens = [&](auto change) {
        EngineOptions options = small_options();
        options.kv_tokens = 0;
        change(options);
        auto device = model.open(options);
        REQUIRE(device);
        const DeviceInfo& info = (*device)->info();
        return info.pages * info.page_tokens;
    };
    CHECK(tokens([](EngineOptions&) {}) == 512);
    CHECK(tokens([](EngineOptions& o) { o.sequences_max = 1; }) == 512);
    CHECK(tokens([](EngineOptions& o) { o.kv_tokens = 4000; }) == 4000);
}

TEST_CASE("the pool of a larger model takes three quarters of its weights' size", "[device]") {
    TinyModel wide;
    wide.ffn = 8192;
    Model model(wide.bytes());
    EngineOptions options = small_options();
    options.kv_tokens = 0;
    options.sequences_max = 4096;
    auto device = model.open(options);
    REQUIRE(device);
    const DeviceInfo& info = (*device)->info();
    CHECK(info.kv_bytes <= info.weight_bytes * 3 / 4 + info.kv_bytes / info.pages);
    CHECK(info.kv_bytes > info.weight_bytes / 2);
    CHECK(info.pages * info.page_tokens > 512);
}

TEST_CASE("options out of range are named with their range", "[device]") {
    Model model(TinyModel{}.bytes());
    auto message = [&](auto change) {
        EngineOptions options = small_options();
        change(options);
        auto device = model.open(options);
        REQUIRE(!device);
        CHECK(device.error().code == Errc::bad_config);
        return device.error().message;
    };
    CHECK(message([](EngineOptions& o) { o.threads = -1; }) == "threads is -1, expected 0..256");
    CHECK(message([](EngineOptions& o) { o.sequences_max = 0; }) ==
          "sequences_max is 0, expected 1..4096");
    CHECK(message([](EngineOptions& o) { o.context_tokens_max = 513; }) ==
          "context_tokens_max is 513, expected 0..512");
    CHECK(message([](EngineOptions& o) { o.prefill_tokens_max = 0; }) ==
          "prefill_tokens_max is 0, expected 1..65536");
}
