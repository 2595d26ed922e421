// As many sequences at once as the engine takes, each against itself alone.
#include "tests/cuda/served.h"

using namespace sluice;

namespace {

// How far logprobs of greedy choices are apart, up to the first that differs: some hundreds of
// sequences' widest is wider than a few's, their mean is not.
struct Apart {
    double sum = 0, widest = 0;
    std::size_t count = 0;

    void add(const Told& one, const Told& other, double tolerance) {
        REQUIRE(one.tokens.size() == other.tokens.size());
        for (std::size_t i = 0; i < one.tokens.size(); ++i, ++count) {
            if (one.tokens[i] != other.tokens[i]) {
                CHECK(double{one.margins[i]} <= 2 * tolerance);
                return;
            }
            const double off = std::abs(double{one.logprobs[i]} - double{other.logprobs[i]});
            sum += off;
            widest = std::isnan(off) ? off : std::max(widest, off);
        }
    }
};

}  // namespace

TEST_CASE("256 sequences at once are each what they are alone", "[gpu_engine][large]") {
    const Served& served = GENERATE(from_range(all_served));
    const bool invariant = GENERATE(false, true);
    CAPTURE(served.name, invariant);
    EngineOptions options = options_on_gpu();
    options.sequences_max = 256;
    options.context_tokens_max = 256;
    options.kv_tokens = std::int64_t{256} * 256;
    options.prefill_tokens_max = 1024;
    options.batch_invariant = invariant;
    // They end one after another, so that steps of all sizes are met.
    std::vector<Ask> asks;
    for (int i = 0; i < 256; ++i) {
        asks.emplace_back(tokens_of(3 + 29 * i % 101, i), 8 + i % 64);
        if (i % 5 == 0) asks.back().sampling.seed = static_cast<std::uint64_t>(i);
        if (invariant && i % 5 == 0) asks.back().sampling.temperature = 0.8F;
    }
    const auto engine = open(served, options);
    int running_most = 0;
    std::vector<Told> together(asks.size());
    for (std::size_t i = 0; i < asks.size(); ++i) engine->ask(asks[i], together[i]);
    for (const Told& told : together) {
        running_most = std::max(running_most, engine->engine().occupancy().running);
        engine->wait_last(told);
    }
    CHECK(running_most > 128);
    Apart apart;
    // Alone fp8 weights meet activations in f16, here in e4m3.
    const double tolerance = served.tolerance * (served.type == TensorType::fp8_e4m3 ? 2 : 1);
    for (std::size_t i = 0; i < asks.size(); i += 4) {
        CAPTURE(i);
        const Told alone = engine->run(asks[i]);
        if (invariant)
            check_same_bits(alone, together[i]);
        else
            apart.add(alone, together[i], 4 * tolerance);
    }
    if (!invariant) {
        const double mean = apart.sum / static_cast<double>(apart.count);
        CAPTURE(apart.widest, mean, apart.count);
        CHECK(apart.widest <= 4 * tolerance);
        CHECK(mean <= tolerance / 3);
        CHECK(apart.count > 500);
        keep_measured(std::string("256 at once, ") + served.name + ", mean logprob", mean,
                      tolerance / 3);
    }
    CHECK(engine->pages_come_back());
}
