// The embedded engine's own count of a prompt, where there is one, beside the estimate.
#include "policies/session_stay.h"
#include "tests/policies/route_world.h"

namespace sluice {
namespace {

struct CountedWorld : World {
    CountedWorld() : World(world_bands) {
        upstreams[0].vendor.name = "engine";
        upstreams[0].context_tokens = 0;  // the embedded engine's config names no window
        views[0].window_tokens = 2'048;
        input_tokens = 977;
    }
};

}  // namespace

TEST_CASE("a prompt whose exact count does not fit is not tried there, and the route says so",
          "[counted]") {
    CountedWorld world;
    CHECK(world.order() == "here open-a open-b far");  // by the estimate it fits
    world.views[0].input_tokens = 3'922;
    CHECK(world.order() == "open-a open-b far");
    CHECK(world.route()->skipped ==
          std::vector<std::string>{"here: needs 3923 tokens (3922 in the prompt by its own "
                                   "tokenizer), its window has 2048"});
    world.views[0].input_tokens = 2'047;  // one is left for the answer
    CHECK(world.order() == "here open-a open-b far");
    world.views[0].input_tokens = 2'048;
    CHECK(world.order() == "open-a open-b far");
    world.views[0].input_tokens = 1'500;
    world.request.max_tokens = 548;
    CHECK(world.order() == "here open-a open-b far");
    world.request.max_tokens = 549;
    CHECK(world.order() == "open-a open-b far");
}

TEST_CASE("an estimate that is too long does not keep a prompt from where it fits", "[counted]") {
    CountedWorld world;
    world.input_tokens = 2'500;
    CHECK(world.order() == "open-a open-b far");
    world.views[0].input_tokens = 1'900;
    CHECK(world.order() == "here open-a open-b far");
    CHECK(world.route()->skipped.empty());
}

TEST_CASE("a prompt that fits nowhere is refused with the exact count", "[counted]") {
    CountedWorld world;
    for (Upstream& one : world.upstreams)
        if (one.name != "here") one.context_tokens = 1'000;
    world.views[0].input_tokens = 3'922;
    auto route = world.route();
    REQUIRE_FALSE(route);
    CHECK(route.error().code == Errc::context_length_exceeded);
    CHECK_THAT(route.error().message, Catch::Contains("3922 in the prompt by its own tokenizer"));
}

TEST_CASE("of a hosted upstream it is said whose tokenizer counted", "[counted]") {
    CountedWorld world;
    world.upstreams[1].context_tokens = 1'000;
    world.views[1].input_tokens = 3'922;
    const auto skipped = world.route()->skipped;
    REQUIRE(skipped.size() == 1);
    CHECK_THAT(skipped[0],
               Catch::Contains("3922 in the prompt by the embedded engine's tokenizer"));
}

TEST_CASE("an upstream's expected tokens are by its own count", "[counted]") {
    CountedWorld world;
    world.difficulty.expected_output_tokens = 100;
    RouteInput input{world.caller, world.labels, world.request, world.difficulty, 977};
    auto used = [&](std::size_t at, std::int64_t cached) {
        return expected_usage(world.policy.scoring, input, 0, world.views[at], {}, cached);
    };
    world.views[0].input_tokens = 1'500;
    CHECK(used(0, 0).in_uncached == 1'500);
    CHECK(used(0, 400).in_uncached == 1'100);
    CHECK(used(0, 400).in_cache_read == 400);
    CHECK(used(1, 0).in_uncached == 977);
}

}  // namespace sluice
