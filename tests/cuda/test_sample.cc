#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>

#include "engine/cuda/sample.h"
#include "engine/sampler.h"
#include "tests/cuda/device_buffer.h"

using namespace sluice;
using namespace sluice::cuda;

namespace {

struct Drawn {
    std::vector<SampleResult> results;
    std::vector<TopLogprob> top;
    std::vector<std::int32_t> last;
};

Drawn draw(const std::vector<float>& rows, int stride, int V, std::vector<SampleParams> params,
           const std::vector<LogitAdjust>& adjustments = {}, int top = 0) {
    const int S = static_cast<int>(params.size());
    DeviceBuffer<float> logits(rows);
    DeviceBuffer<SampleParams> device_params(params);
    DeviceBuffer<LogitAdjust> device_adjustments(adjustments);
    DeviceBuffer<SampleResult> results(params.size());
    DeviceBuffer<TopLogprob> best(params.size() * top_logprobs_max);
    DeviceBuffer<std::int32_t> last(params.size());
    DeviceBuffer<std::uint8_t> workspace(sample_workspace_bytes(S));
    SampleArguments a;
    a.logits = logits.get();
    a.stride = stride;
    a.V = V;
    a.S = S;
    a.params = device_params.get();
    a.adjustments = device_adjustments.get();
    a.any_adjusted = !adjustments.empty();
    a.top_logprobs = top;
    a.results = results.get();
    a.top = best.get();
    a.last_token = last.get();
    a.workspace = workspace.get();
    cuda::sample(a, nullptr);
    return {results.host(), best.host(), last.host()};
}

std::vector<float> random_row(int V, unsigned seed, float spread = 3.0F) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, spread);
    std::vector<float> row(static_cast<std::size_t>(V));
    for (float& logit : row) logit = normal(random);
    return row;
}

Sampled on_the_host(std::vector<float> row, const Sampling& sampling, std::uint64_t bits,
                    const std::vector<TokenId>& history = {}, int prompt_tokens = 0) {
    StepSequence sequence;
    sequence.sampling = &sampling;
    sequence.draw = bits;
    sequence.history = history;
    sequence.prompt_tokens = prompt_tokens;
    return sluice::sample(row, sequence);
}

}  // namespace

TEST_CASE("a greedy choice and its signals are the host sampler's", "[sample]") {
    const int V = GENERATE(2, 31, 1000, 49152, 151665);
    std::vector<float> rows;
    std::vector<SampleParams> params(3);
    const int stride = V + 8;
    for (unsigned s = 0; s < 3; ++s) {
        auto row = random_row(V, s + static_cast<unsigned>(V), s == 2 ? 1e4F : 3.0F);
        row.resize(static_cast<std::size_t>(stride), 1e30F);  // beyond V: must not be looked at
        rows.insert(rows.end(), row.begin(), row.end());
        params[s].slot = static_cast<int>(s);
        params[s].think_end = s == 0 ? -1 : V / 2;
    }
    const Drawn drawn = draw(rows, stride, V, params);
    Sampling greedy;
    greedy.temperature = 0;
    greedy.thinking.end = V / 2;
    for (std::size_t s = 0; s < 3; ++s) {
        auto from = rows.begin() + static_cast<std::ptrdiff_t>(s) * stride;
        const Sampled want = on_the_host({from, from + V}, greedy, 0);
        CHECK(drawn.results[s].failed == 0);
        CHECK(drawn.results[s].token == want.token);
        CHECK(drawn.last[s] == want.token);
        CHECK(drawn.results[s].logprob == Approx(want.signals.logprob).margin(1e-4));
        CHECK(drawn.results[s].entropy == Approx(want.signals.entropy).margin(1e-3));
        CHECK(drawn.results[s].margin == Approx(want.signals.margin).margin(1e-3));
        CHECK(std::isnan(drawn.results[s].probe));
        if (s == 0)
            CHECK(std::isnan(drawn.results[s].think_end_logprob));
        else
            CHECK(drawn.results[s].think_end_logprob ==
                  Approx(want.signals.think_end_logprob).margin(1e-3).epsilon(1e-5));
    }
}

TEST_CASE("a row with a NaN, an infinity or nothing fails alone", "[sample]") {
    const int V = 5000;
    std::vector<float> rows;
    for (float bad : {NAN, INFINITY, 0.0F}) {
        auto row = random_row(V, 7);
        row[4321] = bad;
        rows.insert(rows.end(), row.begin(), row.end());
    }
    rows.insert(rows.end(), static_cast<std::size_t>(V), -INFINITY);
    const Drawn drawn = draw(rows, V, V, std::vector<SampleParams>(4));
    CHECK(drawn.results[0].failed == 1);
    CHECK(drawn.results[1].failed == 1);
    CHECK(drawn.results[2].failed == 0);
    CHECK(drawn.results[3].failed == 1);
}

TEST_CASE("draws follow the distribution that temperature, top_k, top_p and min_p leave",
          "[sample][large]") {
    struct Case {
        float temperature, top_p, min_p;
        int top_k;
    };
    const auto c =
        GENERATE(Case{1.0F, 1.0F, 0.0F, 0}, Case{0.6F, 0.95F, 0.0F, 0}, Case{1.0F, 1.0F, 0.0F, 3},
                 Case{1.5F, 0.5F, 0.0F, 40}, Case{1.0F, 1.0F, 0.2F, 0}, Case{0.7F, 0.8F, 0.05F, 5});
    const int V = 3000;
    const int S = 4096;
    auto row = random_row(V, 11, 2.0F);
    // The exact distribution.
    std::vector<int> order(row.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    auto logit = [&](int i) { return row[static_cast<std::size_t>(i)]; };
    std::sort(order.begin(), order.end(), [&](int a, int b) { return logit(a) > logit(b); });
    std::vector<double> weight;
    for (int i : order) weight.push_back(std::exp((logit(i) - logit(order[0])) / c.temperature));
    std::size_t kept = order.size();
    if (c.top_k > 0) kept = static_cast<std::size_t>(c.top_k);
    while (weight[kept - 1] < c.min_p) --kept;
    double total = 0;
    for (std::size_t i = 0; i < kept; ++i) total += weight[i];
    double mass = 0;
    for (std::size_t i = 0; i < kept; ++i) {
        mass += weight[i];
        if (mass >= static_cast<double>(c.top_p) * total) kept = i + 1;
    }
    std::vector<float> rows;
    std::vector<SampleParams> params(S);
    std::mt19937_64 random(5);
    for (auto& p : params) {
        p = {.temperature = c.temperature, .top_p = c.top_p, .min_p = c.min_p, .top_k = c.top_k};
        p.draw = random();
        p.slot = -1;
        rows.insert(rows.end(), row.begin(), row.end());
    }
    const Drawn drawn = draw(rows, V, V, params);
    std::map<int, int> times;
    for (const SampleResult& result : drawn.results) ++times[result.token];
    double distance = 0;  // total variation
    for (std::size_t i = 0; i < order.size(); ++i) {
        const double want = i < kept ? weight[i] / mass : 0.0;
        const double got = times[order[i]] / double{S};
        if (i >= kept) REQUIRE(times[order[i]] == 0);
        distance += std::abs(want - got) / 2;
    }
    // The distance of S draws from n equal outcomes is about sqrt(n / (2 pi S)).
    double outcomes = 0;
    for (std::size_t i = 0; i < kept; ++i) outcomes += std::sqrt(weight[i] / mass);
    CHECK(distance < 1.3 * outcomes / std::sqrt(2 * 3.14159 * S));
}

TEST_CASE("bias and penalties change the choice, and the logprob stays the raw one", "[sample]") {
    const int V = 1000;
    const auto row = random_row(V, 3);
    const int best = static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin());
    SampleParams p;
    p.adjust_end = 1;
    p.slot = 0;
    SECTION("a penalty takes the best away") {
        const Drawn drawn = draw(row, V, V, {p}, {{best, 0.0F, 100.0F, 0.0F}});
        Sampling greedy;
        greedy.temperature = 0;
        greedy.repetition_penalty = 100.0F;
        const Sampled want = on_the_host(row, greedy, 0, {best}, 1);
        CHECK(drawn.results[0].token == want.token);
        CHECK(drawn.results[0].token != best);
        CHECK(drawn.results[0].logprob == Approx(want.signals.logprob).margin(1e-4));
    }
    SECTION("a bias forces another") {
        const int other = best == 5 ? 6 : 5;
        const Drawn drawn = draw(row, V, V, {p}, {{other, 100.0F, 1.0F, 0.0F}});
        CHECK(drawn.results[0].token == other);
        const Drawn plain = draw(row, V, V, {SampleParams{}});
        const double base = row[static_cast<std::size_t>(best)] - plain.results[0].logprob;
        CHECK(drawn.results[0].logprob ==
              Approx(row[static_cast<std::size_t>(other)] - base).margin(1e-4));
    }
}

TEST_CASE("the best logprobs come in order, ties by id", "[sample]") {
    const int V = 20000;
    auto row = random_row(V, 9);
    row[17] = row[19990] = 50.0F;
    SampleParams p;
    p.top_logprobs = 5;
    p.slot = -1;
    const Drawn drawn = draw(row, V, V, {p}, {}, 5);
    CHECK(drawn.top[0].token == 17);
    CHECK(drawn.top[1].token == 19990);
    CHECK(drawn.top[0].logprob == Approx(std::log(0.5)).margin(1e-3));
    std::sort(row.begin(), row.end(), std::greater<>());
    for (std::size_t i = 2; i < 5; ++i)
        CHECK(drawn.top[i].logprob - drawn.top[0].logprob == Approx(row[i] - row[0]).margin(1e-4));
}
