// A candidate policy in the shadow: what it would have done is counted.
#include "gateway/candidate.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gateway/config.h"
#include "policies/route.h"

namespace sluice {
namespace {

constexpr const char* digest = "1c590839af894cf25f9a5fe06929af05b377f60efbe55508ef93d251887b9213";

// `policy.yaml` sends all to one tier, `next.yaml` beside it to the other.
struct Folder {
    Folder() {
        char pattern[] = "/tmp/sluice-candidate-XXXXXX";
        path = mkdtemp(pattern);
        policy("policy.yaml", "open");
        policy("next.yaml", "frontier");
        std::string upstream =
            ", vendor: simulated-openai, model: sim-reasoner, base_url: 'http://127.0.0.1:9/v1'}\n";
        std::ofstream(path + "/config.yaml")
            << "version: 1\nledger: {url: 'sqlite:l.db'}\nkeys:\n  - {id: a, team: t, sha256: "
            << digest << "}\nupstreams:\n  - {name: one" << upstream << "  - {name: two" << upstream
            << "policy: {path: policy.yaml, candidate: {path: next.yaml, shadow: true}}\n";
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void policy(const std::string& name, const std::string& tier) const {
        std::ofstream(path + "/" + name)
            << "version: 1\ntiers: {open: [one], frontier: [two]}\ndefault: {bands: [{tier: "
            << tier << "}]}\n";
    }
    std::string path;
};

}  // namespace

TEST_CASE("a request that is decided twice is counted once", "[candidate]") {
    Folder folder;
    auto config = load_config(folder.path + "/config.yaml", "2026-11-22");
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    auto fleet = Fleet::open(**config);
    REQUIRE(fleet);
    HttpRequest http;
    Walk walk((*fleet)->snapshot(*config), *find_dialect("openai_chat"), http);
    walk.chat.model = "auto";
    walk.chat.messages.emplace_back();
    RouteInput input{walk.caller, walk.labels, walk.chat, walk.difficulty, 10};
    auto views = Fleet::view(*walk.snapshot, Clock::now());
    Metrics metrics;
    for (int time = 0; time < 2; ++time) {
        auto route = choose_route(*walk.policy, input, views);
        REQUIRE(route);
        decide_beside(walk, input, views, route, metrics);
        CHECK(route->record.beside_tier == "frontier");
    }
    std::string text = metrics.text({});
    std::string series = "sluice_policy_shadow_decisions_total{from=\"open\",to=\"frontier\"";
    std::size_t at = text.find(series);
    REQUIRE(at != std::string::npos);
    std::size_t end = text.find('\n', at);
    CHECK(text.substr(end - 3, 3) == "} 1");
}

}  // namespace sluice
