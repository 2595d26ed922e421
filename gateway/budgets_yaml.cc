// The section `budgets`: who may spend how much, and whom each limit covers.
#include <algorithm>
#include <set>

#include "gateway/config.h"
#include "gateway/config_yaml.h"
#include "policies/time_zone.h"

namespace sluice {
namespace {

constexpr std::size_t limits_max = 1'000;

// The names that the keys have.
std::vector<std::string> names_of(const KeyRing& keys, BudgetOf of) {
    std::set<std::string> names;
    for (const VirtualKey& key : keys.all()) {
        if (of == BudgetOf::org) names.insert(key.caller.org);
        if (of == BudgetOf::team) names.insert(key.caller.team);
        if (of == BudgetOf::key) names.insert(key.id);
    }
    names.erase("");
    return {names.begin(), names.end()};
}

struct BudgetLine {
    Budget budget;  // its name may be "*": each one that has none of its own
    Cursor at;
};

bool read_name(Cursor& at, const char* kind, BudgetOf of, const KeyRing& keys, Budget& budget) {
    budget.of = of;
    budget.name = at.text().value_or("");
    if (budget.name.empty() || budget.name == "*") return !budget.name.empty();
    std::vector<std::string> known = names_of(keys, of);
    if (std::find(known.begin(), known.end(), budget.name) != known.end()) return true;
    std::string near = nearest_word(budget.name, known);
    at.fault("no key has " + std::string(kind) + " '" + budget.name + "'" +
             (near.empty() ? "" : ", did you mean '" + near + "'?"));
    return false;
}

// Whom it covers: exactly one of these keys.
bool read_cover(Cursor& item, const KeyRing& keys, Budget& budget) {
    int given = 0;
    bool good = true;
    for (auto [kind, of] : {std::pair("org", BudgetOf::org), std::pair("team", BudgetOf::team),
                            std::pair("key", BudgetOf::key)})
        if (auto at = item.find(kind)) {
            ++given;
            good = read_name(*at, kind, of, keys, budget) && good;
        }
    if (auto at = item.find("all")) {
        ++given;
        if (at->boolean() == false) at->fault("expected true: the budget of all callers together");
    }
    if (given == 1) return good;
    item.fault("expected exactly one of org, team, key or all: whom the budget covers");
    return false;
}

std::optional<BudgetLine> read_limit(Cursor& item, const KeyRing& keys) {
    if (!item.expect_map()) return {};
    Budget budget;
    bool good = read_cover(item, keys, budget);
    if (auto per = item.need("per")) {
        auto word = per->one_of({"day", "month", "total"});
        good = good && word.has_value();
        if (word == "month") budget.per = BudgetPer::month;
        if (word == "total") budget.per = BudgetPer::total;
    }
    if (auto usd = item.need("usd")) {
        auto money = parse_usd(usd->text().value_or("0"));
        if (money)
            budget.limit = *money;
        else
            usd->fault(money.error().message);
    }
    item.close();
    if (!good) return {};
    return BudgetLine{budget, item};
}

bool has(const std::vector<Budget>& budgets, const Budget& one) {
    return std::any_of(budgets.begin(), budgets.end(), [&](const Budget& other) {
        return other.of == one.of && other.per == one.per && other.name == one.name;
    });
}

// Named ones first: "*" is for those that have none of their own for that window.
void spread(std::vector<BudgetLine>& lines, const KeyRing& keys, std::vector<Budget>& budgets) {
    for (BudgetLine& line : lines) {
        if (line.budget.name == "*") continue;
        if (has(budgets, line.budget))
            line.at.fault("a second budget of " + line.budget.in_words() + ": expected one");
        else
            budgets.push_back(line.budget);
    }
    const std::size_t named = budgets.size();
    std::set<std::pair<BudgetOf, BudgetPer>> seen;
    for (BudgetLine& line : lines) {
        if (line.budget.name != "*") continue;
        if (!seen.emplace(line.budget.of, line.budget.per).second)
            line.at.fault("a second budget of each one of a kind for one window: expected one");
        for (const std::string& name : names_of(keys, line.budget.of)) {
            Budget each = line.budget;
            each.name = name;
            if (!has({budgets.begin(), budgets.begin() + static_cast<std::ptrdiff_t>(named)}, each))
                budgets.push_back(each);
        }
    }
}

void note_covering(BudgetSection& section, const Caller& caller) {
    for (std::size_t i = 0; i < section.budgets.size() && i < budgets_max; ++i)
        if (section.budgets[i].covers(caller))
            section.by_key[caller.key_id].push_back(static_cast<std::uint16_t>(i));
}

// Those of issued keys (key_file.h) are in it already.
void read_section(Cursor& budgets, Config& config) {
    if (!budgets.expect_map()) return;
    BudgetSection& section = config.budgets;
    if (auto zone = budgets.find("time_zone"))
        if (auto text = zone->text()) {
            auto minutes = utc_offset_minutes(*text);
            if (!minutes)
                zone->fault("expected an offset from UTC such as +02:00, got '" + *text + "'");
            section.offset_s = minutes.value_or(0) * 60;
        }
    std::vector<BudgetLine> lines;
    if (auto list = budgets.need("limits")) {
        auto items = list->items();
        if (items.size() > limits_max)
            list->fault("expected at most " + std::to_string(limits_max) + " limits");
        for (Cursor& item : items)
            if (auto line = read_limit(item, config.keys)) lines.push_back(std::move(*line));
        spread(lines, config.keys, section.budgets);
        if (section.budgets.size() > budgets_max)
            list->fault("expected at most " + std::to_string(budgets_max) +
                        " budgets, with '*' spread over all that it stands for");
    }
    budgets.close();
}

}  // namespace

void read_budgets(Cursor& root, Config& config) {
    BudgetSection& section = config.budgets;
    if (auto at = root.find("budgets")) read_section(*at, config);
    for (Budget& budget : section.budgets) budget.words = budget.in_words();
    for (const VirtualKey& key : config.keys.all()) note_covering(section, key.caller);
    for (const VirtualKey& key : config.keys.all()) {
        const Caller shadow = shadow_payer(key.caller.org);
        if (!section.by_key.contains(shadow.key_id)) note_covering(section, shadow);
    }
}

}  // namespace sluice
