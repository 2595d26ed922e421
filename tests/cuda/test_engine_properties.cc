// What the engine promises whatever its sequences meet, on the GPU: cut prompts, cached beginnings,
// giving way, cancels, steps begun ahead, numbers that overflow.
#include <cmath>

#include "tests/cuda/served.h"

using namespace sluice;

namespace {

void check_near(const Told& one, const Told& other, const Served& served = all_served[0]) {
    check_agree(one, other, served.tolerance, std::string("whole engine, ") + served.name);
}

Ask with_tenant(Ask ask) {
    ask.options.cache_tenant = "acme";
    return ask;
}

}  // namespace

TEST_CASE("a prompt in pieces gives what it gives whole", "[gpu_engine]") {
    const Served& served = GENERATE(from_range(all_served));
    CAPTURE(served.name);
    const Ask ask(tokens_of(700, 1));
    EngineOptions options = options_on_gpu();
    options.prefill_tokens_max = 1024;
    const Told whole = open(served, options)->run(ask);
    for (int piece : {64, 100, 333}) {
        options.prefill_tokens_max = piece;
        check_near(whole, open(served, options)->run(ask), served);
    }
}

TEST_CASE("a prompt that begins with cached pages gives what it gives cold", "[gpu_engine]") {
    const Served& served = GENERATE(from_range(all_served));
    CAPTURE(served.name);
    const auto engine = open(served, options_on_gpu());
    std::vector<TokenId> shared = tokens_of(300, 2);
    const Told cold = engine->run(Ask(shared));
    engine->run(with_tenant(Ask(tokens_of(300, 2), 3)));
    const Told hit = engine->run(with_tenant(Ask(shared)));
    CHECK(hit.last.cached_prompt_tokens == 256);
    CHECK(cold.last.cached_prompt_tokens == 0);
    check_near(cold, hit, served);
}

TEST_CASE("a sequence that gives way and comes back goes on as if it had not", "[gpu_engine]") {
    const Served& served = GENERATE(from_range(all_served));
    CAPTURE(served.name);
    const Ask ask(tokens_of(90, 3), 300);
    const Told alone = open(served, options_on_gpu())->run(ask);
    EngineOptions options = options_on_gpu();
    options.kv_tokens = 640;                           // 10 pages
    for (const std::int64_t swap_tokens : {0, 640}) {  // computed again, and swapped
        options.kv_swap_tokens = swap_tokens;
        const auto engine = open(served, options);
        const std::vector<Told> both = engine->run({Ask(tokens_of(90, 4), 400), ask});
        CHECK(both[1].last.finish == FinishReason::length);
        check_near(alone, both[1], served);
        CHECK(engine->pages_come_back());
        const Occupancy now = engine->engine().occupancy();
        CHECK(now.preemptions_total > 0);
        CHECK(now.swaps_total == (swap_tokens == 0 ? 0 : now.preemptions_total));
    }
}

TEST_CASE("steps begun ahead choose the tokens of steps that waited", "[gpu_engine]") {
    EngineOptions options = options_on_gpu();
    options.batch_invariant = true;  // they meet in other steps
    GpuEngine engine(options);
    std::vector<Ask> asks, waiting;
    for (int i = 0; i < 6; ++i) {
        Ask ask(tokens_of(20 + 17 * i, i), 60);
        ask.sampling.temperature = i % 2 == 0 ? 0.0F : 0.9F;
        ask.sampling.top_p = i % 3 == 0 ? 0.9F : 1.0F;
        ask.sampling.seed = static_cast<std::uint64_t>(i);
        asks.push_back(ask);
        ask.sampling.frequency_penalty = 1e-30F;  // changes no logit, but must be waited for
        waiting.push_back(ask);
    }
    const auto ahead = engine.run(asks);
    const auto waited = engine.run(waiting);
    for (std::size_t i = 0; i < asks.size(); ++i) check_same_bits(ahead[i], waited[i]);
    CHECK(engine.pages_come_back());
}

TEST_CASE("a cancelled sequence takes at most the steps that were begun", "[gpu_engine]") {
    GpuEngine engine;
    Told stays, leaves;
    engine.ask(Ask(tokens_of(40, 6), 400), stays);
    engine.ask(Ask(tokens_of(40, 7), 900), leaves);
    engine.wait_tokens(leaves, 20);
    engine.engine().cancel(leaves.id);
    const std::size_t at_cancel = engine.tokens_so_far(leaves);
    engine.wait_last(stays);
    CHECK(stays.tokens.size() == 400);
    CHECK(leaves.tokens.size() <= at_cancel + 2);  // one under way, one begun behind it
    CHECK_FALSE(leaves.last.last);
    CHECK(engine.pages_come_back());
    const Told alone = engine.run(Ask(tokens_of(40, 6), 400));
    check_near(alone, stays);
}

TEST_CASE("queries and keys whose products are 100,000 give numbers", "[gpu_engine]") {
    for (const char* kv : {"bf16", "fp8"}) {
        TinyModel model = tiny_on_gpu(TensorType::bf16);
        model.bias_size = 110.0F;  // products of 64 such pairs are of the order of 1e5
        EngineOptions options = options_on_gpu();
        options.kv_format = kv;
        const auto told = GpuEngine(options, model).run({Ask(tokens_of(500, 8)), Ask({5}, 100)});
        for (const Told& one : told) {
            CHECK(one.last.finish == FinishReason::length);
            for (float logprob : one.logprobs) REQUIRE(std::isfinite(logprob));
        }
    }
}

TEST_CASE("a token whose weights are NaN fails the sequences that meet it, and no other",
          "[gpu_engine]") {
    // The second one's rows do not fill the steps of 256 columns that products take.
    struct Case {
        TensorType type;
        int hidden, ffn;
        const char* kv;
    };
    const auto c =
        GENERATE(Case{TensorType::q8_0, 256, 512, "bf16"}, Case{TensorType::q4_0, 320, 608, "bf16"},
                 Case{TensorType::bf16, 256, 512, "bf16"}, Case{TensorType::f16, 320, 608, "fp8"},
                 Case{TensorType::q4_k, 256, 512, "fp8"}, Case{TensorType::q5_k, 256, 512, "bf16"},
                 Case{TensorType::q6_k, 256, 512, "fp8"});
    CAPTURE(type_name(c.type), c.kv);
    TinyModel model = tiny_on_gpu(c.type);
    model.hidden = c.hidden;
    model.ffn = c.ffn;
    const Ask fine(tokens_of(100, 9), 120);
    EngineOptions options = options_on_gpu();
    options.kv_format = c.kv;
    const Told before = GpuEngine(options, model).run(fine);
    model.nan_token = 260;
    std::vector<TokenId> meets = tokens_of(130, 10);
    meets[60] = 260;
    options.kv_tokens = 1024;
    GpuEngine engine(options, model);
    const auto told = engine.run({Ask(meets), fine, Ask(meets)});
    CHECK(told[0].last.finish == FinishReason::failed);
    CHECK(told[2].last.finish == FinishReason::failed);
    CHECK(told[1].last.finish == FinishReason::length);
    check_near(before, told[1], all_served[c.kv == std::string("fp8") ? 1 : 0]);
    // Pages that held NaN serve again.
    for (int i = 0; i < 4; ++i)
        CHECK(engine.run(Ask(tokens_of(800, i), 100)).last.finish == FinishReason::length);
    CHECK(engine.pages_come_back());
}

TEST_CASE("sequences and contexts of numbers that no step is made for run as alone",
          "[gpu_engine]") {
    EngineOptions options = options_on_gpu();
    options.sequences_max = 5;         // steps are padded to eight
    options.context_tokens_max = 700;  // attention's grids are made for 1024
    std::vector<Ask> asks;
    for (int i = 0; i < 5; ++i) asks.emplace_back(tokens_of(600 + i, 20 + i), 60);
    GpuEngine engine(options);
    const std::vector<Told> together = engine.run(asks);
    for (std::size_t i = 0; i < asks.size(); ++i) check_near(engine.run(asks[i]), together[i]);
    CHECK(engine.pages_come_back());
}

TEST_CASE("with batch invariance a sequence is the same bits whatever else runs", "[gpu_engine]") {
    const Served served = GENERATE(
        from_range(all_served), values({Served{"q8_0 over bf16 keys", TensorType::q8_0, "bf16", 0},
                                        Served{"bf16 over fp8 keys", TensorType::bf16, "fp8", 0}}));
    CAPTURE(served.name);
    EngineOptions options = options_on_gpu();
    options.batch_invariant = true;
    options.prefill_tokens_max = 512;
    std::vector<Ask> asks;
    for (int i = 0; i < 12; ++i) {
        asks.push_back(Ask(tokens_of(1 + 57 * i, i), 30 + 9 * i));
        if (i % 2 == 1) asks.back().sampling.temperature = 0.8F;
        if (i % 3 == 0) asks.back() = with_tenant(asks.back());
    }
    std::vector<Told> alone;
    for (const Ask& ask : asks) alone.push_back(open(served, options)->run(ask));
    {
        // All at once, and again with cached beginnings.
        const auto engine = open(served, options);
        for (int time = 0; time < 2; ++time) {
            const auto together = engine->run(asks);
            for (std::size_t i = 0; i < asks.size(); ++i) check_same_bits(alone[i], together[i]);
        }
    }
    // With prompts cut small, and pages so few that some wait.
    options.prefill_tokens_max = 70;
    options.kv_tokens = 1024;
    const auto together = open(served, options)->run(asks);
    for (std::size_t i = 0; i < asks.size(); ++i) check_same_bits(alone[i], together[i]);
}

TEST_CASE("with batch invariance a sequence that gave way is the same bits", "[gpu_engine]") {
    const Served& served = GENERATE(from_range(all_served));
    CAPTURE(served.name);
    EngineOptions options = options_on_gpu();
    options.batch_invariant = true;
    // Answers are longer than what is kept free for one, and so outgrow the pages.
    std::vector<Ask> asks = {Ask(tokens_of(90, 4), 400), Ask(tokens_of(90, 3), 300)};
    asks[1].sampling.temperature = 0.8F;
    std::vector<Told> alone;
    const auto all_pages = open(served, options);
    for (const Ask& ask : asks) alone.push_back(all_pages->run(ask));
    options.kv_tokens = 640;                           // 10 pages
    for (const std::int64_t swap_tokens : {0, 640}) {  // computed again, and swapped
        options.kv_swap_tokens = swap_tokens;
        const auto engine = open(served, options);
        const auto both = engine->run(asks);
        for (std::size_t i = 0; i < asks.size(); ++i) check_same_bits(alone[i], both[i]);
        const Occupancy now = engine->engine().occupancy();
        CHECK(now.preemptions_total > 0);
        CHECK(now.swaps_total == (swap_tokens == 0 ? 0 : now.preemptions_total));
    }
}

TEST_CASE("the signals of every token are those that the CPU gives", "[gpu_engine]") {
    // A KL of 2e-5 is some 6e-3 in the mean, the widest of hundreds five times that.
    const auto [type, kv, tolerance] =
        GENERATE(table<TensorType, const char*, double>({{TensorType::f16, "bf16", 1e-2},
                                                         {TensorType::q4_k, "bf16", 5e-2},
                                                         {TensorType::q8_0, "fp8", 5e-2}}));
    const TinyModel model = tiny_on_gpu(type);
    CAPTURE(type_name(type), kv);
    EngineOptions options = options_on_gpu();
    options.kv_format = kv;
    std::vector<Ask> asks;
    for (int i = 0; i < 6; ++i) {
        asks.emplace_back(tokens_of(10 + 50 * i, i), 60);
        asks.back().sampling.thinking.end = 65 + i;
        asks.back().sampling.thinking.open = true;
    }
    asks.back().sampling.thinking = {};  // no thought, no signal of one
    const auto on_gpu = GpuEngine(options, model).run(asks);
    options.device = "cpu";
    const auto on_cpu = GpuEngine(options, model).run(asks);
    double widest = 0;
    std::size_t compared = 0;
    for (std::size_t i = 0; i < asks.size(); ++i) {
        check_agree(on_cpu[i], on_gpu[i], tolerance, "engine on GPU and CPU");
        for (std::size_t t = 0; t < on_cpu[i].tokens.size(); ++t, ++compared) {
            CAPTURE(i, t);
            const TokenSignals &want = on_cpu[i].signals[t], &got = on_gpu[i].signals[t];
            if (i + 1 == asks.size()) {
                CHECK(std::isnan(want.think_end_logprob));
                CHECK(std::isnan(got.think_end_logprob));
            } else {
                CHECK(got.think_end_logprob ==
                      Approx(want.think_end_logprob).margin(2 * tolerance));
            }
            CHECK(got.entropy == Approx(want.entropy).margin(tolerance));
            CHECK(got.margin == Approx(want.margin).margin(2 * tolerance));
            widest = std::max(widest, std::abs(double{got.entropy} - double{want.entropy}));
            if (on_cpu[i].tokens[t] != on_gpu[i].tokens[t]) break;
        }
    }
    CHECK(compared > 100);
    keep_measured("entropy on GPU and CPU", widest, tolerance);
}

TEST_CASE("the probe is the linear head of the hidden state, on both devices", "[gpu_engine]") {
    TinyModel model = tiny_on_gpu(GENERATE(TensorType::f16, TensorType::q8_0));
    EngineOptions options = options_on_gpu();
    for (int h = 0; h < model.hidden; ++h)
        options.probe.weights.push_back(std::sin(static_cast<float>(h)));
    options.probe.bias = 0.5F;
    Ask ask(tokens_of(77, 12), 5);
    ask.sampling.hidden_state = true;
    Ask plain(tokens_of(1, 12), 5);
    const auto told = GpuEngine(options, model).run({ask, plain});
    REQUIRE(told[0].hidden_state.size() == 256);
    CHECK(told[1].hidden_state.empty());
    float want = options.probe.bias;
    for (std::size_t h = 0; h < 256; ++h)
        want += options.probe.weights[h] * told[0].hidden_state[h];
    CHECK(told[0].probe == Approx(want).margin(1e-3));
    options.device = "cpu";
    const auto on_cpu = GpuEngine(options, model).run({ask, plain});
    CHECK(told[0].probe == Approx(on_cpu[0].probe).margin(0.05));
    CHECK(told[1].probe == Approx(on_cpu[1].probe).margin(0.05));
    REQUIRE(on_cpu[0].hidden_state.size() == 256);
    for (std::size_t h = 0; h < 256; ++h)
        CHECK(told[0].hidden_state[h] == Approx(on_cpu[0].hidden_state[h]).margin(0.05));
    options.device = "cuda";
    options.probe.weights.pop_back();
    const TempFile bytes(model.bytes());
    const OpenedModel opened(bytes.path());
    auto refused = open_cuda_device(options, opened.file, opened.network);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message ==
          "the probe has 255 weights; this model's hidden state has 256");
}
