#include "gateway/golden_gate.h"

#include <catch2/catch.hpp>

#include "gateway/config_yaml.h"
#include "gateway/eval/tier_identity.h"
#include "tests/gateway/policy_folder.h"

using namespace sluice;

namespace {

constexpr int cases = 10;

// A golden set whose cases `frontier` has right and `open` wrong for three of ten.
struct GoldenFolder : PolicyFolder {
    GoldenFolder() {
        std::string text = "version: 1\ncases:\n";
        for (int i = 0; i < cases; ++i)
            text += "  - {id: c" + std::to_string(i) + ", prompt: q, score: {exact: a}}\n";
        write("golden.yaml", text);
    }
    Result<ConfigPtr> next() const {
        return load(" policy.yaml\ngolden: {file: golden.yaml, result: r.json}");
    }
    // What `sluice eval --save` writes where there is no result yet.
    void measure(const std::string& made) const {
        write("r.json", "");
        auto config = next();
        REQUIRE(config);
        const GoldenSet& set = *(*config)->golden->set;
        auto routed = routed_tiers(**config, set);
        GoldenResult out;
        out.made = made;
        out.golden_sha256 = set.sha256;
        out.policy_version = (*config)->policy.version;
        auto tiers = configured_tiers(**config);
        REQUIRE(tiers);
        for (const ConfiguredTier& one : *tiers) {
            MeasuredTier tier;
            tier.tier = one.tier;
            tier.identity = one.identity;
            for (int i = 0; i < cases; ++i)
                tier.scores.emplace_back(one.tier == "open" && i < 3 ? 0.0 : 1.0);
            out.tiers.push_back(std::move(tier));
        }
        for (std::size_t i = 0; i < set.cases.size(); ++i)
            out.cases.push_back({set.cases[i].id, set.cases[i].digest, "exact", routed[i]});
        write("r.json", write_result(out));
    }
    ConfigPtr live(const std::string& tier) const {
        policy("policy.yaml", tier);
        auto config = next();
        REQUIRE(config);
        return *config;
    }
};

std::string refusal(const Status& gate) { return gate ? "" : gate.error().message; }

}  // namespace

TEST_CASE("what a reload refuses, a stop and start refuses, too, in the same words", "[golden]") {
    GoldenFolder folder;
    folder.policy("policy.yaml", "frontier");
    folder.measure("2026-11-01T00:00:00Z");
    auto good = folder.live("frontier");
    CHECK(refusal(golden_gate(*good, nullptr)).empty());  // a first start
    auto worse = folder.live("open");
    CHECK(refusal(golden_gate(*worse, nullptr)).empty());  // nothing was live: nothing to compare
    REQUIRE(folder.versions().note(good->policy, "live", "start"));
    std::string said = refusal(golden_gate(*worse, nullptr));
    CHECK(said.find("the policy as a whole loses 30.0 % against the version before") !=
          std::string::npos);
    CHECK(said.find("go back to version " + good->policy.version +
                    ", which was live before, by "
                    "'sluice policy rollback") != std::string::npos);
    CHECK(said.find("remove " + folder.path() + "/r.json and measure it: sluice eval") !=
          std::string::npos);
    CHECK(said == refusal(golden_gate(*worse, good.get())));
    CHECK(refusal(golden_gate(*good, nullptr)).empty());  // as it was
    REQUIRE(folder.versions().note(worse->policy, "live", "accepted"));
    CHECK(refusal(golden_gate(*good, nullptr)).empty());  // a better one
}

TEST_CASE("a candidate in the shadow or on trial is no version that was live", "[golden]") {
    GoldenFolder folder;
    folder.policy("policy.yaml", "frontier");
    folder.measure("2026-11-01T00:00:00Z");
    auto good = folder.live("frontier");
    auto worse = folder.live("open");
    REQUIRE(folder.versions().note(good->policy, "canary 5 %", "start"));
    CHECK(refusal(golden_gate(*worse, nullptr)).empty());
}

TEST_CASE("a loss is accepted by measuring again under the new policy, once", "[golden]") {
    GoldenFolder folder;
    folder.policy("policy.yaml", "frontier");
    folder.measure("2026-11-01T00:00:00Z");
    auto good = folder.live("frontier");
    REQUIRE(folder.versions().note(good->policy, "live", "start"));
    folder.policy("policy.yaml", "open");
    folder.measure("2026-11-01T00:00:00Z");  // before the other one went live
    CHECK(!golden_gate(*folder.live("open"), nullptr));
    folder.measure("2999-01-01T00:00:00Z");
    CHECK(refusal(golden_gate(*folder.live("open"), nullptr)).empty());
    CHECK(refusal(golden_gate(*folder.live("open"), good.get())).empty());
    folder.write("policy.yaml", folder.live("open")->policy.texts[0] + "# another\n");
    auto other = folder.next();
    REQUIRE(other);
    CHECK(!golden_gate(**other, nullptr));  // nobody accepted this one
}

TEST_CASE("where the kept copy is damaged, what the result noted of it counts", "[golden]") {
    GoldenFolder folder;
    folder.policy("policy.yaml", "frontier");
    folder.measure("2026-11-01T00:00:00Z");
    auto good = folder.live("frontier");
    REQUIRE(folder.versions().note(good->policy, "live", "start"));
    folder.write("l.db.policies/" + good->policy.version + ".json", "{");
    CHECK(refusal(golden_gate(*folder.live("open"), nullptr)).find("loses 30.0 %") !=
          std::string::npos);
}
