// Steps that are begun behind others, and steps that tell the device more than it takes at once.
#include "tests/cuda/walked_model.h"

using namespace sluice;

namespace {

std::vector<Sampled> run(Device& device, const std::vector<StepSequence>& step) {
    REQUIRE(device.begin(step));
    auto sampled = device.finish();
    if (!sampled) FAIL(sampled.error().message);
    return {sampled->begin(), sampled->end()};
}

}  // namespace

TEST_CASE("two steps are under way at once, the second on what the first will choose",
          "[cuda_device]") {
    const TempFile bytes(walked_model(TensorType::q4_k, 64, 8).bytes());
    const OpenedModel model(bytes.path());
    const auto opened = open_walked(walked_options(), model);
    Device& device = *opened;
    CHECK(device.info().steps_max == 2);
    std::vector<std::vector<float>> want;
    Walk waits(device, 0, walked_tokens(100, 1)), ahead(device, 1, waits.tokens);
    want.push_back(numbers_of(waits.run(100)));
    for (int i = 0; i < 5; ++i) {
        waits.tokens.push_back(static_cast<TokenId>(want.back()[0]));
        want.push_back(numbers_of(waits.run(1)));
    }
    const TokenId chosen[] = {chosen_token};
    ahead.tokens.resize(106);
    const auto next_chosen = [&] {
        StepSequence part = ahead.next(1);
        part.tokens = chosen;
        part.history = {};
        return part;
    };
    const StepSequence first[] = {ahead.next(100)};
    REQUIRE(device.begin(first));
    for (int i = 0; i < 6; ++i) {
        if (i < 5) {
            const StepSequence behind[] = {next_chosen()};
            REQUIRE(device.begin(behind));
            auto refused = device.begin(behind);
            REQUIRE_FALSE(refused);
            CHECK_THAT(refused.error().message, Catch::Contains("more steps are begun at once"));
        }
        auto sampled = device.finish();
        REQUIRE(sampled);
        CHECK(numbers_of((*sampled)[0]) == want[static_cast<std::size_t>(i)]);
    }
}

TEST_CASE("a step whose sequences have more new pages than are told at once reads the right ones",
          "[cuda_device]") {
    const TempFile bytes(walked_model(TensorType::q4_k, 64, 8).bytes());
    const OpenedModel model(bytes.path());
    constexpr int seats = 48, shared = 8192, page = 64;
    constexpr int pages = shared / page;  // 48 x 129 are more than 4,096
    EngineOptions options = walked_options();
    options.sequences_max = seats + 1;
    options.prefill_tokens_max = 2048;
    options.context_tokens_max = shared + page;
    options.kv_tokens = (pages + seats + 2) * page;
    const auto opened = open_walked(options, model);
    Device& device = *opened;
    // All begin with the same pages, page 0 not among them: what a table not told of has in it.
    const std::vector<TokenId> tokens = walked_tokens(shared + 2, 1);
    Walk first(device, seats, tokens);
    first.pages.clear();
    for (int i = 0; i < pages; ++i) first.pages.push_back(1 + (i * 37) % pages);
    first.pages.push_back(pages + 1);
    for (int at = 0; at < shared; at += 2048) first.run(2048);
    const std::vector<float> want = numbers_of(first.run(1));
    std::vector<Walk> walks;
    std::vector<StepSequence> step;
    for (int seat = 0; seat < seats; ++seat) {
        Walk& walk = walks.emplace_back(device, seat, tokens);
        walk.pages = first.pages;
        walk.pages.back() = pages + 2 + seat;
        if (seat == seats - 1) walk.pages.back() = 0;
        walk.computed = shared;
    }
    for (Walk& walk : walks) step.push_back(walk.next(1));
    const std::vector<Sampled> all_told = run(device, step);
    for (int again = 0; again < 3; ++again) {  // nothing new is told; captured, replayed
        const std::vector<Sampled> known = run(device, step);
        for (std::size_t i = 0; i < seats; ++i)
            CHECK(numbers_of(known[i]) == numbers_of(all_told[i]));
    }
    for (std::size_t i = 0; i < seats; ++i) {
        CHECK(numbers_of(all_told[i]) == numbers_of(all_told[0]));
        for (std::size_t n = 1; n < want.size(); ++n)  // through products for so many at once
            CHECK(numbers_of(all_told[i])[n] == Approx(want[n]).margin(1e-2));
    }
}
