// The policy files in tests/policies/yaml, read as the product reads them.
#pragma once

#include <fstream>
#include <sstream>

#include "tests/policies/fakes.h"

namespace sluice {

inline const std::string policy_folder = SLUICE_SOURCE_DIR "/tests/policies/yaml/";

inline std::string text_of(const std::string& path) {
    std::ifstream in(path);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

// With the files that it names, which stand beside it.
inline Policy read_policy_file(const std::string& name, std::vector<Fault>& faults) {
    auto beside = [](const std::string& path) { return load_policy_file(policy_folder + path); };
    return read_policy(text_of(policy_folder + name), name, {"here", "open-a", "open-b", "far"},
                       faults, beside);
}

// The rule's condition on a field, and of a tag or header the one of that name.
inline const Condition& asked(const PolicyRule& rule, Field field, const std::string& name = "") {
    for (const Condition& one : rule.match.all)
        if (one.field == field && one.name == name) return one;
    FAIL("rule " << rule.name << " does not ask for it");
    throw std::logic_error("unreachable");
}

}  // namespace sluice
