#include "gateway/key_file.h"

#include <optional>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "gateway/json_lines.h"
#include "gateway/learning/state_file.h"

namespace sluice {
namespace {

constexpr unsigned file_mode = 0644;  // of the gateway and of who runs `sluice keys`

// Its budget, or nothing where it has none or says something else.
std::optional<Budget> budget_of(const IssuedKey& key) {
    auto limit = parse_usd(key.budget_usd);
    if (key.window.empty() || !limit) return {};
    Budget budget;
    budget.of = BudgetOf::key;
    budget.name = key.id;
    budget.limit = *limit;
    if (key.window == "month") budget.per = BudgetPer::month;
    if (key.window == "total") budget.per = BudgetPer::total;
    return budget;
}

// The keys that another is to stand beside: there may be 10,000 of them.
class Standing {
public:
    void add(const VirtualKey& key) {
        ids_.insert(key.id);
        by_sha256_.try_emplace(key.sha256, key.id);
        if (key.issued) return;
        auto [org, first] = orgs_.try_emplace(key.caller.team, key.caller.org);
        if (!first && org->second != key.caller.org) org->second.reset();
    }
    // The org of the configuration's keys of that team, "" where they have none; nothing where
    // they are of several.
    std::optional<std::string> org_of(const std::string& team) const {
        auto found = orgs_.find(team);
        return found == orgs_.end() ? "" : found->second;
    }
    std::string fault_of(const IssuedKey& key) const;

private:
    std::unordered_set<std::string> ids_;
    std::unordered_map<std::string, std::string> by_sha256_;            // to an id
    std::unordered_map<std::string, std::optional<std::string>> orgs_;  // by team
};

// What of a key of the configuration can be shown, whatever is wrong with the rest.
IssuedKey configured_key(Cursor& at) {
    IssuedKey key;
    for (auto [name, value] : {std::pair("id", &key.id), std::pair("team", &key.team),
                               std::pair("user", &key.user), std::pair("org", &key.org)})
        if (auto found = at.find(name)) *value = found->plain();
    return key;
}

std::string Standing::fault_of(const IssuedKey& key) const {
    if (key.id.empty() || key.team.empty()) return "expected an id and a team";
    if (key.org.empty() && !org_of(key.team))
        return "the configuration's keys of team '" + key.team +
               "' are of several orgs: expected its org (--org)";
    bool hex = key.sha256.size() == 64 &&
               key.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!hex) return "expected the 64 hex digits of the key's SHA-256";
    bool windowed = key.window == "day" || key.window == "month" || key.window == "total";
    if (key.window.empty() != key.budget_usd.empty() || (!key.window.empty() && !windowed))
        return "expected budget_usd with a window of day, month or total, or neither";
    if (windowed && !parse_usd(key.budget_usd)) return "expected budget_usd in dollars";
    if (ids_.contains(key.id)) return "duplicate key id '" + key.id + "'";
    auto same = by_sha256_.find(key.sha256);
    return same == by_sha256_.end() ? "" : "the same key as '" + same->second + "'";
}

}  // namespace

std::string fault_of(const IssuedKey& key, const std::vector<VirtualKey>& others) {
    Standing standing;
    for (const VirtualKey& other : others) standing.add(other);
    return standing.fault_of(key);
}

Result<std::vector<IssuedKey>> KeyFile::read() const {
    auto text = read_state_file(path_);
    if (!text) return text.error();
    std::vector<IssuedKey> keys;
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
        IssuedKey key;
        Status read = read_json_line(line, path_ + ":" + std::to_string(keys.size() + 1),
                                     {{"id", &key.id},
                                      {"team", &key.team},
                                      {"user", &key.user},
                                      {"sha256", &key.sha256},
                                      {"created", &key.created},
                                      {"revoked", &key.revoked},
                                      {"budget_usd", &key.budget_usd},
                                      {"window", &key.window}},
                                     {{"org", &key.org}});
        if (!read) return read.error();
        keys.push_back(std::move(key));
    }
    return keys;
}

Status KeyFile::write(const std::vector<IssuedKey>& keys, std::string* unsynced) const {
    std::string text;
    for (const IssuedKey& key : keys)
        text += json_line({{"id", &key.id},
                           {"team", &key.team},
                           {"user", &key.user},
                           {"sha256", &key.sha256},
                           {"created", &key.created},
                           {"revoked", &key.revoked},
                           {"budget_usd", &key.budget_usd},
                           {"window", &key.window},
                           {"org", &key.org}});
    return write_state_file(path_, text, file_mode, unsynced);
}

void read_issued_keys(Config& config, std::vector<Fault>& faults) {
    if (config.ledger.url.size() <= 7) return;
    config.key_file = config.ledger.url.substr(7) + ".keys";
    config.files.push_back(config.key_file);
    config.replaced_whole.push_back(config.key_file);
    auto issued = KeyFile(config.key_file).read();
    if (!issued) {
        faults.push_back(Fault{config.key_file, 1, 1, "", issued.error().message});
        return;
    }
    std::vector<VirtualKey> all = config.keys.all();
    Standing standing;
    for (const VirtualKey& key : all) standing.add(key);
    int line = 0;
    for (const IssuedKey& one : *issued) {
        ++line;
        if (!one.revoked.empty()) continue;
        std::string fault = standing.fault_of(one);
        if (!fault.empty()) {
            faults.push_back(Fault{config.key_file, line, 1, one.id, fault});
            continue;
        }
        VirtualKey key;
        key.id = one.id;
        key.sha256 = one.sha256;
        key.issued = true;
        std::string org = one.org.empty() ? standing.org_of(one.team).value_or("") : one.org;
        key.caller = {std::move(org), one.team, one.id, one.user, false};
        standing.add(key);
        all.push_back(std::move(key));
        if (auto budget = budget_of(one)) config.budgets.budgets.push_back(std::move(*budget));
    }
    config.keys = KeyRing(std::move(all));
    if (config.budgets.budgets.size() > budgets_max)
        faults.push_back(Fault{config.key_file, 1, 1, "",
                               "expected at most " + std::to_string(budgets_max) +
                                   " keys with a budget: revoke some"});
    if (config.keys.size() == 0)
        config.warnings.push_back(
            "there is no key, so every request is refused: `sluice keys create` makes one");
}

Result<KeyPlace> find_key_file(const std::string& config_file) {
    auto text = read_text_file(config_file);
    if (!text)
        return Error(Errc::bad_config, config_file + ": cannot read this file (of at most 16 MiB)");
    KeyPlace place;
    std::vector<Fault> faults;
    auto root = Cursor::parse(*text, config_file, faults);
    if (root && root->expect_map()) {
        auto ledger = root->need("ledger");
        if (ledger && ledger->expect_map())
            if (auto url = ledger->need("url")) place.path = read_ledger_url(*url, config_file);
        auto keys = root->find("keys");
        if (keys && keys->is_list())
            for (Cursor& key : keys->items())
                if (key.is_map()) place.configured.push_back(configured_key(key));
    }
    if (!faults.empty()) return faults_error(faults);
    place.path = place.path.substr(7) + ".keys";
    return place;
}

Result<std::shared_ptr<const Config>> without_ended_keys(const Config& now) {
    auto issued = KeyFile(now.key_file).read();
    if (!issued) return issued.error();
    std::unordered_map<std::string_view, const IssuedKey*> by_id;
    for (const IssuedKey& one : *issued) by_id.try_emplace(one.id, &one);
    std::vector<VirtualKey> all;
    Standing standing;
    for (const VirtualKey& key : now.keys.all()) {
        if (key.issued) continue;
        standing.add(key);
        all.push_back(key);
    }
    bool same = true;
    for (const VirtualKey& key : now.keys.all()) {
        if (!key.issued) continue;
        auto one = by_id.find(key.id);
        // One that is gone, or makes no sense any more, is not known, either.
        bool goes_on = one != by_id.end() && one->second->revoked.empty() &&
                       standing.fault_of(*one->second).empty();
        same = same && goes_on && one->second->sha256 == key.sha256;
        if (!goes_on) continue;
        all.push_back(key);
        all.back().sha256 = one->second->sha256;
        standing.add(all.back());
    }
    if (same) return ConfigPtr();
    auto next = std::make_shared<Config>(now);
    next->keys = KeyRing(std::move(all));
    return ConfigPtr(std::move(next));
}

}  // namespace sluice
