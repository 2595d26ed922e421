// The whole network on the GPU against the plain one in double precision, on small random models:
// prefill whole and in pieces, through both ways of multiplying, decode launched and from graphs.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "engine/cuda/cuda_device.h"
#include "tests/cuda/device_walk.h"
#include "tests/cuda/measured.h"
#include "tests/cuda/walked_model.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

namespace {

EngineOptions options_of(const std::string& kv, bool batch_invariant = false) {
    EngineOptions options = walked_options(kv.c_str());
    options.batch_invariant = batch_invariant;
    return options;
}

// Checks it, and keeps the largest in `worst`.
void compare(const Sampled& sampled, const std::vector<double>& logits, double kl_max,
             double& worst) {
    const BestDifference difference = best_difference(sampled, logits);
    CHECK(difference.kl <= kl_max);
    CHECK(difference.widest <= 8 * std::sqrt(kl_max));
    worst = std::max(worst, difference.kl);
}

TinyModel tiny(TensorType type, int group, int head_dim) {
    TinyModel model;
    model.type = type;
    model.head_dim = model.rope_dims = head_dim;
    model.kv_heads = 2;
    model.query_heads = 2 * group;
    model.hidden = 256;
    model.ffn = 512;
    model.vocab = 331;
    model.context = 4096;
    if (group == 5 || group == 7) {
        model.architecture = "qwen2";
        model.bias = true;
    }
    return model;
}

// What the step of each one's last token gives, all of them in one.
std::vector<float> last_step_of(std::vector<Walk>& walks) {
    std::vector<StepSequence> step;
    for (Walk& walk : walks) {
        walk.computed = static_cast<int>(walk.tokens.size()) - 1;
        step.push_back(walk.next(1));
    }
    Device& device = walks.front().device;
    REQUIRE(device.begin(step));
    auto sampled = device.finish();
    REQUIRE(sampled);
    REQUIRE(sampled->size() == walks.size());
    std::vector<float> out;
    for (const Sampled& one : *sampled) {
        REQUIRE_FALSE(one.failed);
        out.insert(out.end(), {static_cast<float>(one.token), one.signals.logprob,
                               one.signals.entropy, one.signals.margin});
        for (const TokenLogprob& best : one.logprobs.top) out.push_back(best.logprob);
    }
    return out;
}

std::vector<TokenId> some_tokens(int count, int vocab) {
    std::vector<TokenId> out;
    for (int i = 0; i < count; ++i) out.push_back((i * 37 + i * i * 3 + 11) % vocab);
    return out;
}

// A device whose decode steps of each kind are launched once, captured and replayed.
class GraphRig {
public:
    struct Kind {
        int beside;
        bool adjusted;
        int top_logprobs;
    };

    GraphRig(TensorType type, const std::string& kv, int seats)
        : shape_(tiny(type, 4, 64)), bytes_(shape_.bytes()), model_(bytes_.path()) {
        EngineOptions options = options_of(kv);
        options.sequences_max = seats;
        options.kv_tokens = std::int64_t{seats} * 512;
        auto device = open_cuda_device(options, model_.file, model_.network);
        if (!device) FAIL(device.error().message);
        device_ = *std::move(device);
    }
    // Of a kind that it has not met yet.
    void check(const Kind& kind) {
        CAPTURE(kind.beside, kind.adjusted, kind.top_logprobs);
        std::vector<Walk> walks = walks_of(kind, false);
        const std::vector<float> launched = last_step_of(walks);
        // Captured with others in other seats, then replayed for these and those.
        std::vector<Walk> others = walks_of(kind, true);
        const std::vector<float> captured = last_step_of(others);
        CHECK(captured != launched);
        REQUIRE(last_step_of(others) == captured);
        walks = walks_of(kind, false);
        for (int run = 0; run < 2; ++run) REQUIRE(last_step_of(walks) == launched);
    }

private:
    std::vector<Walk> walks_of(const Kind& kind, bool others) {
        std::vector<Walk> walks;
        for (int i = 0; i < kind.beside; ++i) {
            const int length = 30 + 7 * ((others ? 3 * i + 1 : i) % 61);
            Walk& walk = walks.emplace_back(*device_, others ? kind.beside - 1 - i : i,
                                            some_tokens(length, shape_.vocab));
            walk.sampling.top_logprobs = kind.top_logprobs;
            if (kind.adjusted) {
                walk.sampling.frequency_penalty = others ? 0.2F : 0.5F;
                walk.sampling.logit_bias = {{others ? 9 : 7, 1.5F}};
            }
            walk.run(length - 1);
        }
        return walks;
    }

    TinyModel shape_;
    TempFile bytes_;
    OpenedModel model_;
    std::unique_ptr<Device> device_;
};

}  // namespace

TEST_CASE("the GPU computes the network that plain loops compute", "[cuda_device]") {
    struct Case {
        TensorType type;
        int group, head_dim;
        double kl_max;
    };
    const auto c =
        GENERATE(Case{TensorType::q4_k, 4, 64, 1e-4}, Case{TensorType::q6_k, 2, 128, 1e-4},
                 Case{TensorType::q5_k, 4, 128, 1e-4}, Case{TensorType::q8_0, 5, 64, 1e-4},
                 Case{TensorType::q4_1, 3, 64, 1e-4}, Case{TensorType::q4_0, 7, 128, 1e-4},
                 Case{TensorType::f16, 7, 64, 1e-4}, Case{TensorType::bf16, 5, 128, 1e-4},
                 Case{TensorType::f32, 4, 128, 1e-4});
    CAPTURE(type_name(c.type), c.group, c.head_dim);
    const TinyModel model_shape = tiny(c.type, c.group, c.head_dim);
    const TempFile bytes(model_shape.bytes());
    const OpenedModel model(bytes.path());
    auto device = open_cuda_device(options_of("bf16"), model.file, model.network);
    if (!device) FAIL(device.error().message);
    const std::vector<TokenId> tokens = some_tokens(210, model_shape.vocab);
    // Slow, and the same for each section.
    static std::map<TensorType, std::vector<std::vector<double>>> known;
    auto& want = known[c.type];
    if (want.empty()) want = PlainNetwork(*model.file, model_shape).logits(tokens);
    double worst = 0;
    SECTION("whole, through the library") {
        Walk walk(**device, 0, tokens);
        compare(walk.run(200), want[199], c.kl_max, worst);
        for (std::size_t at = 200; at < 210; ++at) compare(walk.run(1), want[at], c.kl_max, worst);
    }
    SECTION("in pieces, through both ways") {
        Walk walk(**device, 1, tokens);
        compare(walk.run(3), want[2], c.kl_max, worst);
        compare(walk.run(62), want[64], c.kl_max, worst);
        compare(walk.run(64), want[128], c.kl_max, worst);
        compare(walk.run(1), want[129], c.kl_max, worst);
        compare(walk.run(80), want[209], c.kl_max, worst);
    }
    SECTION("beside others, some of which choose no token, decode and prompt in one step") {
        Walk one(**device, 0, tokens), other(**device, 1, tokens);
        Walk silent(**device, 2, tokens), waiting(**device, 3, tokens);
        one.run(40);
        waiting.run(50);
        StepSequence step[] = {silent.next(30), other.next(90), waiting.next(1), one.next(1)};
        step[0].sample = step[2].sample = false;
        REQUIRE((*device)->begin(step));
        auto sampled = (*device)->finish();
        REQUIRE(sampled);
        REQUIRE(sampled->size() == 2);
        compare((*sampled)[0], want[89], c.kl_max, worst);
        compare((*sampled)[1], want[40], c.kl_max, worst);
        // What they left in the cache is right too.
        compare(silent.run(70), want[99], c.kl_max, worst);
        compare(waiting.run(1), want[51], c.kl_max, worst);
    }
    SECTION("a step that chooses no token fills the cache alone") {
        Walk walk(**device, 2, tokens);
        StepSequence step[] = {walk.next(120)};
        step[0].sample = false;
        REQUIRE((*device)->begin(step));
        REQUIRE((*device)->finish());
        compare(walk.run(1), want[120], c.kl_max, worst);
    }
    SECTION("all one way, as batch_invariant asks") {
        auto invariant = open_cuda_device(options_of("bf16", true), model.file, model.network);
        if (!invariant) FAIL(invariant.error().message);
        Walk walk(**invariant, 0, tokens);
        compare(walk.run(200), want[199], c.kl_max, worst);
        compare(walk.run(8), want[207], c.kl_max, worst);
        for (std::size_t at = 208; at < 210; ++at) compare(walk.run(1), want[at], c.kl_max, worst);
    }
    keep_measured(std::string(type_name(c.type)) + " network, largest KL", worst, c.kl_max);
}

TEST_CASE("formats beside one another in a file give the network", "[cuda_device]") {
    struct Case {
        const char* name;
        TensorType type;
        std::vector<std::pair<std::string, TensorType>> other_types;
        double kl_max;
    };
    // Q4_K_M has two formats in one launch and layers that differ; values of the 70B's have one
    // that no launch takes beside the keys', which the library multiplies.
    const auto c = GENERATE(Case{"Q4_K_M",
                                 TensorType::q4_k,
                                 {{"output.weight", TensorType::q6_k},
                                  {"blk.0.attn_v.weight", TensorType::q6_k},
                                  {"blk.0.ffn_down.weight", TensorType::q6_k}},
                                 1e-4},
                            Case{"q4_k with values of q5_k",
                                 TensorType::q4_k,
                                 {{"attn_v.weight", TensorType::q5_k}},
                                 1e-4});
    const int group = GENERATE(4, 6);
    CAPTURE(c.name, group);
    TinyModel model_shape = tiny(c.type, group, 128);
    model_shape.other_types = c.other_types;
    const TempFile bytes(model_shape.bytes());
    const OpenedModel model(bytes.path());
    auto device = open_cuda_device(options_of("bf16"), model.file, model.network);
    if (!device) FAIL(device.error().message);
    const std::vector<TokenId> tokens = some_tokens(210, model_shape.vocab);
    const auto want = PlainNetwork(*model.file, model_shape).logits(tokens);
    Walk walk(**device, 0, tokens);
    double worst = 0;
    compare(walk.run(180), want[179], c.kl_max, worst);  // wide tiles, or written out as f16
    compare(walk.run(20), want[199], c.kl_max, worst);
    compare(walk.run(8), want[207], c.kl_max, worst);
    for (std::size_t at = 208; at < 210; ++at) compare(walk.run(1), want[at], c.kl_max, worst);
    keep_measured(std::string(c.name) + " network, largest KL", worst, c.kl_max);
}

TEST_CASE("fp8 keys and values change the answer little", "[cuda_device]") {
    const TinyModel model_shape = tiny(TensorType::q8_0, 5, 128);
    const TempFile bytes(model_shape.bytes());
    const OpenedModel model(bytes.path());
    auto device = open_cuda_device(options_of("fp8"), model.file, model.network);
    if (!device) FAIL(device.error().message);
    REQUIRE((*device)->calibrate(some_tokens(300, model_shape.vocab)));
    const std::vector<TokenId> tokens = some_tokens(120, model_shape.vocab);
    PlainNetwork plain(*model.file, model_shape);
    const auto want = plain.logits(tokens);
    Walk walk(**device, 0, tokens);
    double worst = 0;
    compare(walk.run(100), want[99], 1e-2, worst);
    for (std::size_t at = 100; at < 120; ++at) compare(walk.run(1), want[at], 1e-2, worst);
    keep_measured("q8_0 network over fp8 keys, largest KL", worst, 1e-2);
}

TEST_CASE("calibrated scales hold values that eight bits would cut off", "[cuda_device]") {
    TinyModel model_shape = tiny(TensorType::f16, 5, 128);
    model_shape.value_bias_size = 600.0F;  // many are beyond 448, the largest code
    const TempFile bytes(model_shape.bytes());
    const OpenedModel model(bytes.path());
    const std::vector<TokenId> tokens = some_tokens(120, model_shape.vocab);
    // How far the answer is from that over bf16, over 20 decoded tokens.
    const auto distance = [&](bool calibrated) {
        auto exact = open_cuda_device(options_of("bf16"), model.file, model.network);
        auto coded = open_cuda_device(options_of("fp8"), model.file, model.network);
        REQUIRE(exact);
        REQUIRE(coded);
        if (calibrated) REQUIRE((*coded)->calibrate(some_tokens(300, model_shape.vocab)));
        Walk one(**exact, 1, tokens);
        Walk other(**coded, 1, tokens);
        double sum = 0;
        one.hidden = other.hidden = true;
        for (int count : {100, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}) {
            const Sampled want = one.run(count);
            const Sampled got = other.run(count);
            double difference = 0, norm = 0;
            for (std::size_t h = 0; h < want.hidden.size(); ++h) {
                const auto w = static_cast<double>(want.hidden[h]);
                const double d = static_cast<double>(got.hidden[h]) - w;
                difference += d * d;
                norm += w * w;
            }
            sum += std::sqrt(difference / norm);
        }
        return sum / 21;
    };
    const double cut_off = distance(false);
    const double scaled = distance(true);
    CAPTURE(cut_off);
    CHECK(scaled <= 5e-2);
    CHECK(cut_off > 4 * scaled);
}

TEST_CASE("a decode step from a graph is the launched one, bit for bit", "[cuda_device]") {
    const auto type = GENERATE(TensorType::q4_k, TensorType::q8_0, TensorType::bf16);
    const std::string kv = GENERATE("bf16", "fp8");
    CAPTURE(type_name(type), kv);
    GraphRig rig(type, kv, 40);
    for (const int beside : {1, 3, 8, 40})
        for (const bool adjusted : {false, true})
            for (const int top : {0, 20}) rig.check({beside, adjusted, top});
}

TEST_CASE("a decode step of hundreds from a graph is the launched one, bit for bit",
          "[cuda_device][large]") {
    const auto type = GENERATE(TensorType::q4_k, TensorType::q8_0, TensorType::bf16);
    const std::string kv = GENERATE("bf16", "fp8");
    CAPTURE(type_name(type), kv);
    GraphRig rig(type, kv, 256);
    for (const int beside : {97, 128, 200, 256}) {
        rig.check({beside, false, 0});
        rig.check({beside, true, 20});
    }
}

TEST_CASE("rows of the output beyond the tokenizer's tokens are never chosen, nor counted",
          "[cuda_device]") {
    const TinyModel model_shape = tiny(GENERATE(TensorType::q4_k, TensorType::bf16), 4, 64);
    const TempFile bytes(model_shape.bytes());
    OpenedModel model(bytes.path());
    constexpr int tokens_there = 57;  // of 331: others would be chosen most of the time
    model.network.tokens = tokens_there;
    auto device = open_cuda_device(options_of("bf16"), model.file, model.network);
    if (!device) FAIL(device.error().message);
    const std::vector<TokenId> tokens = some_tokens(160, tokens_there);
    auto want = PlainNetwork(*model.file, model_shape).logits(tokens);
    for (auto& row : want) row.resize(tokens_there);
    Walk walk(**device, 0, tokens);
    double worst = 0;
    const float temperature = GENERATE(0.0F, 1.0F);
    walk.sampling.temperature = temperature;
    const auto look = [&](const Sampled& sampled) {
        compare(sampled, want[static_cast<std::size_t>(walk.computed - 1)], 1e-4, worst);
        CHECK(sampled.token < tokens_there);
        for (const TokenLogprob& one : sampled.logprobs.top) CHECK(one.token < tokens_there);
    };
    look(walk.run(100));
    for (int i = 0; i < 60; ++i) look(walk.run(1));
}

TEST_CASE("what a GPU cannot do is said before it is touched", "[cuda_device]") {
    TinyModel odd = tiny(TensorType::f16, 4, 64);
    odd.ffn = 520;
    const TempFile odd_bytes(odd.bytes());
    const OpenedModel model(odd_bytes.path());
    auto device = open_cuda_device(options_of("bf16"), model.file, model.network);
    REQUIRE_FALSE(device);
    CHECK(device.error().code == Errc::bad_file);
    CHECK(device.error().message.find("multiples of 16") != std::string::npos);
    const TempFile fine_bytes(tiny(TensorType::q8_0, 4, 64).bytes());
    const OpenedModel fine(fine_bytes.path());
    EngineOptions options = options_of("int4");
    device = open_cuda_device(options, fine.file, fine.network);
    REQUIRE_FALSE(device);
    CHECK(device.error().code == Errc::bad_config);
    options = options_of("bf16");
    options.kv_tokens = std::int64_t{1} << 30;
    device = open_cuda_device(options, fine.file, fine.network);
    REQUIRE_FALSE(device);
    CHECK(device.error().message.find("kv_tokens asks for") != std::string::npos);
    // And nothing of that is left for who opens it next.
    CHECK(open_cuda_device(options_of("bf16"), fine.file, fine.network));
}
