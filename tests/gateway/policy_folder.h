// A configuration over one policy file, and what is kept of its versions.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gateway/config.h"
#include "gateway/policy_versions.h"

namespace sluice {

// A configuration over one policy file, and a place for what is kept.
class PolicyFolder {
public:
    PolicyFolder() {
        char pattern[] = "/tmp/sluice-versions-XXXXXX";
        path_ = mkdtemp(pattern);
        policy("policy.yaml", "open");
    }
    ~PolicyFolder() { std::filesystem::remove_all(path_); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
    }
    // All requests to this tier.
    void policy(const std::string& name, const std::string& tier) const {
        write(name,
              "version: 1\nowner: \"the \\\"team\\\"\"\ntiers:\n  open: [one]\n  frontier: "
              "[two]\ndefault:\n  bands:\n    - {tier: " +
                  tier + "}\n");
    }
    Result<ConfigPtr> load(const std::string& section = " policy.yaml",
                           const PolicyRollback* instead = nullptr) const {
        std::string upstream =
            ", vendor: simulated-openai, model: sim-reasoner, base_url: "
            "'http://127.0.0.1:9/v1'}\n";
        write("config.yaml",
              "version: 1\nledger: {url: 'sqlite:l.db'}\nkeys:\n  - {id: a, team: "
              "t, sha256: " +
                  std::string(digest) + "}\nupstreams:\n  - {name: one" + upstream +
                  "  - {name: two" + upstream + "policy:" + section + "\n");
        return load_config(path_ + "/config.yaml", "2026-11-22", nullptr, instead);
    }
    PolicyVersions versions() const { return PolicyVersions(path_ + "/l.db.policies"); }
    const std::string& path() const { return path_; }

private:
    static constexpr const char* digest =
        "1c590839af894cf25f9a5fe06929af05b377f60efbe55508ef93d251887b9213";
    std::string path_;
};

inline std::string band(const Result<ConfigPtr>& config) {
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    return (*config)->policy.bands.at(0).tier;
}

}  // namespace sluice
