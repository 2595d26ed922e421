#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "engine/sampler.h"
#include "engine/softmax_row.h"

using namespace sluice;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct Row {
    std::vector<float> logits;
    Sampling sampling;
    std::vector<TokenId> history;
    int prompt_tokens = 0;

    Sampled choose(std::uint64_t draw) const {
        std::vector<float> scratch = logits;
        StepSequence sequence;
        sequence.slot = 3;
        sequence.sampling = &sampling;
        sequence.history = history;
        sequence.prompt_tokens = prompt_tokens;
        sequence.draw = draw;
        return sample(scratch, sequence);
    }
    // The tokens that can come out, and how often, over evenly spaced draws.
    std::map<TokenId, double> frequencies(int draws = 4096) const {
        std::map<TokenId, double> out;
        const std::uint64_t apart = ~0ULL / static_cast<std::uint64_t>(draws);
        for (int i = 0; i < draws; ++i)
            out[choose(apart * static_cast<std::uint64_t>(i) + apart / 2).token] += 1.0 / draws;
        return out;
    }
    std::set<TokenId> possible() const {
        std::set<TokenId> out;
        for (const auto& [token, share] : frequencies()) out.insert(token);
        return out;
    }
};

// Logits whose softmax is `p`.
std::vector<float> logs(const std::vector<double>& p) {
    std::vector<float> out;
    for (double x : p) out.push_back(static_cast<float>(std::log(x)));
    return out;
}

std::vector<float> random_row(std::size_t size, std::uint32_t seed, float spread = 4) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, spread);
    std::vector<float> out(size);
    for (float& x : out) x = normal(random);
    return out;
}

// The whole chain written plainly: a full sort and doubles.
std::map<TokenId, double> expected(const std::vector<float>& logits, const Sampling& s) {
    std::vector<std::pair<double, TokenId>> sorted;
    for (std::size_t i = 0; i < logits.size(); ++i)
        sorted.push_back({-static_cast<double>(logits[i]) / s.temperature, TokenId(i)});
    std::sort(sorted.begin(), sorted.end());
    double top = -sorted[0].first;
    std::vector<std::pair<TokenId, double>> kept;
    double total = 0;
    for (const auto& [value, token] : sorted) {
        double weight = std::exp(-value - top);
        if (weight < s.min_p || (s.top_k > 0 && int(kept.size()) == s.top_k)) break;
        kept.push_back({token, weight});
        total += weight;
    }
    double mass = 0;
    std::size_t count = 0;
    while (count < kept.size() && (count == 0 || mass < double(s.top_p) * total * (1 - 1e-6)))
        mass += kept[count++].second;
    std::map<TokenId, double> out;
    for (std::size_t i = 0; i < count; ++i) out[kept[i].first] = kept[i].second / mass;
    return out;
}

}  // namespace

TEST_CASE("signals come from the raw logits at temperature 1", "[sampler]") {
    Row row;
    row.logits = logs({0.5, 0.25, 0.125, 0.125});
    row.sampling.temperature = 0;
    row.sampling.logit_bias = {{2, 50.0F}};
    row.sampling.top_logprobs = 2;
    Sampled chosen = row.choose(0);
    CHECK(chosen.token == 2);
    CHECK(chosen.slot == 3);
    CHECK(chosen.signals.logprob == Approx(std::log(0.125)).margin(1e-5));
    CHECK(chosen.signals.entropy == Approx(1.75 * std::log(2.0)).margin(1e-5));
    CHECK(chosen.signals.margin == Approx(std::log(2.0)).margin(1e-5));
    CHECK(chosen.logprobs.chosen.token == 2);
    CHECK(chosen.logprobs.chosen.logprob == chosen.signals.logprob);
    REQUIRE(chosen.logprobs.top.size() == 2);
    CHECK(chosen.logprobs.top[0].token == 0);
    CHECK(chosen.logprobs.top[0].logprob == Approx(std::log(0.5)).margin(1e-5));
    CHECK(chosen.logprobs.top[1].token == 1);
}

TEST_CASE("no logprobs are filled in unless asked for", "[sampler]") {
    Row row;
    row.logits = logs({0.5, 0.5});
    CHECK(row.choose(0).logprobs.top.empty());
    row.sampling.top_logprobs = 0;
    CHECK(row.choose(0).logprobs.top.empty());
    CHECK(row.choose(0).logprobs.chosen.logprob == Approx(std::log(0.5)).margin(1e-5));
}

TEST_CASE("row sums agree with plain double sums at ragged sizes", "[sampler]") {
    for (std::size_t size : {1u, 2u, 3u, 5u, 255u, 256u, 257u, 1000u, 49152u}) {
        std::vector<float> row = random_row(size, static_cast<std::uint32_t>(size));
        double top = *std::max_element(row.begin(), row.end());
        double mass = 0;
        double moment = 0;
        for (float x : row) mass += std::exp(x - top);
        for (float x : row) moment += std::exp(x - top) * (x - top);
        RowSummary summary = summarize_row(row);
        REQUIRE(summary.usable);
        CHECK(double(summary.top) == top);
        CHECK(argmax_row(row) ==
              std::size_t(std::max_element(row.begin(), row.end()) - row.begin()));
        CHECK(summary.mass == Approx(mass).epsilon(1e-6));
        CHECK(double(summary.entropy) ==
              Approx(std::log(mass) - moment / mass).epsilon(1e-5).margin(1e-5));
        std::nth_element(row.begin(), row.begin() + 1, row.end(), std::greater<>());
        if (size > 1) CHECK(summary.second == row[1]);
    }
}

TEST_CASE("a row with NaN, +inf or nothing finite fails and -inf alone does not", "[sampler]") {
    for (std::size_t at : {0u, 3u, 6u}) {
        Row row;
        row.logits = std::vector<float>(7, 1.0F);
        row.logits[at] = std::numeric_limits<float>::quiet_NaN();
        CHECK(row.choose(1).failed);
        row.logits[at] = infinity;
        CHECK(row.choose(1).failed);
        row.logits[at] = -infinity;
        CHECK_FALSE(row.choose(1).failed);
        CHECK(row.possible().count(TokenId(at)) == 0);
    }
    Row nothing;
    nothing.logits = {-infinity, -infinity};
    CHECK(nothing.choose(0).failed);
    nothing.logits.clear();
    CHECK(nothing.choose(0).failed);
}

TEST_CASE("temperature 0 takes the best and the lowest id of equals", "[sampler]") {
    Row row;
    row.logits = {1, 7, 3, 7, 7};
    row.sampling.temperature = 0;
    CHECK(row.possible() == std::set<TokenId>{1});
    row.sampling.temperature = 1;
    row.sampling.top_k = 1;
    CHECK(row.possible() == std::set<TokenId>{1});
    row.sampling.top_k = 2;
    CHECK(row.possible() == std::set<TokenId>{1, 3});
}

TEST_CASE("repetition penalty counts a token once over prompt and output", "[sampler]") {
    Row row;
    row.sampling.temperature = 0;
    row.sampling.repetition_penalty = 2;
    row.logits = {4, 2.5F, -1, -1.5F};
    row.history = {0, 0, 0};
    row.prompt_tokens = 2;
    CHECK(row.choose(0).token == 1);  // 4 / 2 once, not 4 / 8
    row.logits = {4, 1.5F, -1, -1.5F};
    CHECK(row.choose(0).token == 0);
    row.logits = {-9, -9, -1, -1.5F};
    row.history = {2};
    CHECK(row.choose(0).token == 3);  // a negative logit is multiplied
}

TEST_CASE("presence and frequency penalties count generated tokens only", "[sampler]") {
    Row row;
    row.sampling.temperature = 0;
    row.logits = {4, 2.5F, 0};
    row.history = {0, 0, 0, 0};
    row.prompt_tokens = 4;
    row.sampling.presence_penalty = 2;
    row.sampling.frequency_penalty = 2;
    CHECK(row.choose(0).token == 0);
    row.prompt_tokens = 2;
    row.sampling.frequency_penalty = 0;
    CHECK(row.choose(0).token == 1);  // 4 - 2
    row.sampling.presence_penalty = 1;
    CHECK(row.choose(0).token == 0);  // 4 - 1, once for two occurrences
    row.sampling.frequency_penalty = 0.3F;
    CHECK(row.choose(0).token == 1);  // 4 - 1 - 2 * 0.3
    row.history = {0, 0, 1, 1};
    CHECK(row.choose(0).token == 0);
}

TEST_CASE("penalties of one token leave nothing behind for the next", "[sampler]") {
    Row row;
    row.sampling.temperature = 0;
    row.logits = {4, 3};
    row.sampling.frequency_penalty = 2;
    row.history = {0};
    for (int i = 0; i < 3; ++i) CHECK(row.choose(0).token == 1);
    row.history.clear();
    CHECK(row.choose(0).token == 0);
}

TEST_CASE("logit bias moves a logit by just that much", "[sampler]") {
    Row row;
    row.logits = logs({0.5, 0.5});
    row.sampling.logit_bias = {{0, static_cast<float>(std::log(3.0))}};
    CHECK(row.frequencies()[0] == Approx(0.75).margin(1e-3));
    row.sampling.logit_bias = {{0, -100.0F}};
    CHECK(row.possible() == std::set<TokenId>{1});
}

TEST_CASE("top_k keeps the k best", "[sampler]") {
    Row row;
    row.logits = logs({0.1, 0.4, 0.2, 0.3});
    row.sampling.top_k = 2;
    auto share = row.frequencies();
    CHECK(share.size() == 2);
    CHECK(share[1] == Approx(4.0 / 7).margin(1e-3));
    CHECK(share[3] == Approx(3.0 / 7).margin(1e-3));
    row.sampling.top_k = 99;
    CHECK(row.possible().size() == 4);
}

TEST_CASE("top_p keeps the smallest set that reaches the mass", "[sampler]") {
    Row row;
    row.logits = logs({0.2, 0.5, 0.3});
    row.sampling.top_p = 0.8F;
    CHECK(row.possible() == std::set<TokenId>{1, 2});
    row.sampling.top_p = 0.81F;
    CHECK(row.possible() == std::set<TokenId>{0, 1, 2});
    row.sampling.top_p = 0.5F;
    CHECK(row.possible() == std::set<TokenId>{1});
    row.sampling.top_p = 0;
    CHECK(row.possible() == std::set<TokenId>{1});
    row.sampling.top_p = 0.6F;  // of what top_k leaves: 0.5 / 0.8 reaches it
    row.sampling.top_k = 2;
    CHECK(row.possible() == std::set<TokenId>{1});
}

TEST_CASE("top_p looks as far down a flat row as it must", "[sampler]") {
    Row row;
    row.logits = std::vector<float>(2000, 0.0F);
    row.sampling.top_p = 0.9F;
    auto possible = row.possible();
    CHECK(*possible.rbegin() == 1799);
    CHECK(possible.size() == 1800);
}

TEST_CASE("min_p keeps what has that share of the best one's probability", "[sampler]") {
    Row row;
    row.logits = logs({0.6, 0.25, 0.1, 0.05});
    row.sampling.min_p = 0.16F;
    CHECK(row.possible() == std::set<TokenId>{0, 1, 2});
    row.sampling.min_p = 0.17F;
    CHECK(row.possible() == std::set<TokenId>{0, 1});
    row.sampling.min_p = 1;
    CHECK(row.possible() == std::set<TokenId>{0});
}

TEST_CASE("temperature comes before min_p and top_p", "[sampler]") {
    Row row;
    row.logits = logs({0.6, 0.3, 0.1});
    row.sampling.temperature = 0.5F;  // 0.36 : 0.09 : 0.01
    row.sampling.top_p = 0.75F;
    CHECK(row.possible() == std::set<TokenId>{0});
    row.sampling.top_p = 1;
    row.sampling.min_p = 0.3F;
    CHECK(row.possible() == std::set<TokenId>{0});
    row.sampling.temperature = 1;
    CHECK(row.possible() == std::set<TokenId>{0, 1});
}

TEST_CASE("draws follow the distribution of the plain chain", "[sampler]") {
    struct Case {
        float temperature, top_p, min_p;
        int top_k;
    };
    for (Case c : {Case{1, 1, 0, 0}, Case{0.7F, 1, 0, 0}, Case{2, 1, 0, 0}, Case{1, 0.9F, 0, 0},
                   Case{1, 1, 0.05F, 0}, Case{1, 1, 0, 20}, Case{0.8F, 0.8F, 0.02F, 30},
                   Case{1.5F, 0.99F, 0, 0}, Case{0.6F, 0.95F, 0.01F, 0}}) {
        Row row;
        row.logits = random_row(700, 7, 2);
        row.sampling.temperature = c.temperature;
        row.sampling.top_p = c.top_p;
        row.sampling.min_p = c.min_p;
        row.sampling.top_k = c.top_k;
        auto want = expected(row.logits, row.sampling);
        constexpr int draws = 20000;
        auto got = row.frequencies(draws);
        double apart = 0;
        for (const auto& [token, share] : got) {
            INFO("token " << token);
            REQUIRE(want.count(token) == 1);
        }
        for (const auto& [token, share] : want) apart += std::abs(share - got[token]);
        // Evenly spaced draws miss each token's share by at most one draw.
        CHECK(apart < 1.5 * double(want.size()) / draws + 1e-5);
    }
}

TEST_CASE("random draws pass a chi-squared test against the softmax", "[sampler]") {
    Row row;
    std::vector<double> p;
    for (int i = 0; i < 40; ++i) p.push_back((1 + i) / 820.0);
    row.logits = logs(p);
    std::mt19937_64 random(42);
    std::vector<int> count(40, 0);
    constexpr int draws = 40000;
    for (int i = 0; i < draws; ++i) ++count[static_cast<std::size_t>(row.choose(random()).token)];
    double chi = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        double want = p[i] * draws;
        chi += (count[i] - want) * (count[i] - want) / want;
    }
    CHECK(chi < 72.1);  // 39 degrees of freedom, p = 0.001; the seed is fixed
    CHECK(chi > 15);    // too even would be as wrong
}

TEST_CASE("the first and the last draw stay inside the row", "[sampler]") {
    Row row;
    row.logits = random_row(1000, 5);
    for (float top_p : {1.0F, 0.9F})
        for (std::uint64_t draw : {std::uint64_t(0), ~std::uint64_t(0)}) {
            row.sampling.top_p = top_p;
            TokenId token = row.choose(draw).token;
            CHECK(token >= 0);
            CHECK(token < 1000);
        }
}

TEST_CASE("a sampling value out of range is refused with its field", "[sampler]") {
    auto field = [](auto change) {
        Sampling sampling;
        change(sampling);
        Status status = check_sampling(sampling, 100);
        return status ? std::string("fine") : status.error().param;
    };
    CHECK(field([](Sampling&) {}) == "fine");
    CHECK(field([](Sampling& s) { s.temperature = -1; }) == "temperature");
    CHECK(field([](Sampling& s) { s.temperature = std::nanf(""); }) == "temperature");
    CHECK(field([](Sampling& s) { s.top_p = 1.5F; }) == "top_p");
    CHECK(field([](Sampling& s) { s.min_p = -0.1F; }) == "min_p");
    CHECK(field([](Sampling& s) { s.top_k = -1; }) == "top_k");
    CHECK(field([](Sampling& s) { s.tokens_max = 0; }) == "max_tokens");
    CHECK(field([](Sampling& s) { s.repetition_penalty = 0; }) == "repetition_penalty");
    CHECK(field([](Sampling& s) { s.presence_penalty = infinity; }) == "presence_penalty");
    CHECK(field([](Sampling& s) { s.top_logprobs = 21; }) == "top_logprobs");
    CHECK(field([](Sampling& s) { s.logit_bias = {{100, 1.0F}}; }) == "logit_bias");
    CHECK(field([](Sampling& s) { s.logit_bias = {{5, std::nanf("")}}; }) == "logit_bias");
    CHECK(field([](Sampling& s) { s.logit_bias.resize(1025, {5, 1.0F}); }) == "logit_bias");
    CHECK(field([](Sampling& s) { s.logit_bias.resize(1024, {5, 1.0F}); }) == "fine");
    CHECK(field([](Sampling& s) { s.stop = {""}; }) == "stop");
    CHECK(field([](Sampling& s) { s.stop = {"\xA9"}; }) == "stop");
    CHECK(field([](Sampling& s) { s.stop = {"é\uFFFD"}; }) == "fine");
}
