// Random arrivals, lengths, priorities, tenants, cancels and too few pages, for as long as
// SLUICE_SOAK_SECONDS says (20), a share of them with each kind of weights and keys. Hidden: run
// with `cuda_tests "[soak]"`.
#include <cstdlib>
#include <random>

#include "tests/cuda/served.h"

using namespace sluice;

namespace {

struct Soak {
    std::mt19937 random{1};
    EngineOptions options = options_on_gpu();

    int below(int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); }

    Ask ask() {
        const int length = below(4) == 0 ? 1 + below(700) : 1 + below(120);
        Ask out(tokens_of(length, below(8)), 1 + below(200));
        out.sampling.temperature = below(2) == 0 ? 0.0F : 0.8F;
        out.sampling.top_p = below(3) == 0 ? 0.9F : 1.0F;
        out.sampling.top_logprobs = below(10) == 0 ? 3 : -1;
        out.sampling.ignore_end = below(2) == 0;
        out.sampling.seed = random();
        if (below(10) == 0) out.sampling.frequency_penalty = 0.5F;
        if (below(8) == 0) out.sampling.stop = {std::string(1, static_cast<char>(below(128)))};
        out.options.priority = below(17) - 8;
        const char* tenants[] = {"", "acme", "zeta"};
        out.options.cache_tenant = tenants[below(3)];
        return out;
    }
};

}  // namespace

TEST_CASE("minutes of random work leave every page in the pool", "[.][soak]") {
    const char* asked = std::getenv("SLUICE_SOAK_SECONDS");
    const std::chrono::seconds time(asked == nullptr ? 20 : std::max(std::atoi(asked), 1));
    const Served& served = GENERATE(from_range(all_served));
    CAPTURE(served.name);
    // Pages and room for a few long sequences: many give way, and for some there is no room.
    const auto [seats, pages, places, alive] =
        GENERATE(table<int, int, int, int>({{16, 48, 12, 60}, {256, 640, 24, 600}}));
    Soak soak;
    soak.options.sequences_max = seats;
    soak.options.kv_tokens = std::int64_t{pages} * 64;
    soak.options.kv_swap_tokens = std::int64_t{places} * 64;
    const auto opened = open(served, soak.options);
    GpuEngine& engine = *opened;
    const auto end =
        std::chrono::steady_clock::now() + time / (2 * static_cast<int>(all_served.size()));
    std::deque<std::unique_ptr<Told>> told;
    std::vector<std::unique_ptr<Told>> gone;  // cancelled: a piece may still come
    int submitted = 0, running_most = 0;
    while (std::chrono::steady_clock::now() < end) {
        for (int n = soak.below(20); n > 0 && told.size() < static_cast<std::size_t>(alive);
             --n, ++submitted)
            engine.ask(soak.ask(), *told.emplace_back(std::make_unique<Told>()));
        if (soak.below(2) == 0 && !told.empty()) {
            const auto at = soak.below(static_cast<int>(told.size()));
            engine.engine().cancel(told[static_cast<std::size_t>(at)]->id);
            gone.push_back(std::move(told[static_cast<std::size_t>(at)]));
            told.erase(told.begin() + at);
        }
        running_most = std::max(running_most, engine.engine().occupancy().running);
        for (; told.size() > static_cast<std::size_t>(alive) / 2; told.pop_front()) {
            engine.wait_last(*told.front());
            REQUIRE(told.front()->last.finish != FinishReason::failed);
        }
    }
    for (const auto& one : told) engine.wait_last(*one);
    CHECK(engine.pages_come_back());
    const Occupancy now = engine.engine().occupancy();
    CHECK(running_most > seats / 4);
    CHECK(now.swaps_total > 0);
    CHECK(now.swaps_total < now.preemptions_total);  // the room is full at times
    WARN(served.name << ", " << seats << " seats: " << submitted << " submitted, " << gone.size()
                     << " cancelled, " << now.generated_tokens_total << " tokens, "
                     << now.preemptions_total << " gave way, " << now.swaps_total
                     << " of them swapped, host gap " << 1e6 * now.host_gap_seconds << " us");
}
