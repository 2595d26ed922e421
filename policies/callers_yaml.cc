// `callers`: the orgs, teams and keys that a policy may name.
#include <algorithm>

#include "policies/policy_reading.h"

namespace sluice {
namespace {

constexpr std::size_t callers_max = 10'000;  // of a kind

bool has(const std::vector<std::string>& sorted, const std::string& name) {
    return std::binary_search(sorted.begin(), sorted.end(), name);
}

void read_list(Cursor& list, std::vector<std::string>& sorted) {
    std::vector<std::string> names = list.texts();
    if (list.is_list() && list.items().empty()) list.fault("expected at least one name");
    sorted.insert(sorted.end(), names.begin(), names.end());
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    if (sorted.size() > callers_max)
        list.fault("expected at most " + std::to_string(callers_max) + " names");
}

}  // namespace

void read_callers(PolicyReading& reading, Cursor& map) {
    if (!map.expect_map()) return;
    NamedCallers& callers = reading.policy.callers;
    if (auto at = map.find("orgs")) read_list(*at, callers.orgs);
    if (auto at = map.find("teams")) read_list(*at, callers.teams);
    if (auto at = map.find("keys")) read_list(*at, callers.keys);
    map.close();
}

void check_caller(Cursor& at, const char* kind, const std::string& name,
                  const std::vector<std::string>& listed) {
    if (listed.empty() || has(listed, name)) return;
    std::string near = nearest_word(name, listed);
    at.fault(std::string(kind) + " '" + name + "' is not listed under 'callers." + kind + "s'" +
             (near.empty() ? "" : ", did you mean '" + near + "'?"));
}

}  // namespace sluice
