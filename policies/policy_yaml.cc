// Reads the policy format of policies/README.md: the file as a whole, what it extends, tiers,
// aliases and bands. One pass a file collects every fault; names are checked against the tiers so
// far and the upstreams of the configuration.
#include <algorithm>
#include <cstdio>

#include "policies/policy_reading.h"
#include "policies/time_zone.h"

namespace sluice {
namespace {

constexpr std::size_t tiers_max = 32;
constexpr std::size_t upstreams_per_tier_max = 64;
constexpr std::size_t bands_max = 32;
constexpr std::size_t aliases_max = 1'000;
constexpr std::size_t headers_max = 32;
constexpr std::size_t data_classes_max = 64;
constexpr std::size_t name_bytes_max = 128;

// Tier and alias names are also model names and metric labels.
bool plain_word(std::string_view text) {
    return printable(text) && text.find_first_of(" \"'\\,{}") == std::string_view::npos;
}

std::string listed(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

void read_upstreams(PolicyReading& reading, Cursor& list, PolicyTier& tier) {
    auto items = list.items();
    if (list.is_list() && items.empty()) list.fault("expected at least one upstream");
    if (items.size() > upstreams_per_tier_max)
        list.fault("expected at most " + std::to_string(upstreams_per_tier_max) + " upstreams");
    for (Cursor& item : items) {
        auto upstream = item.text();
        if (!upstream) continue;
        if (!reading.upstreams.empty() && !reading.configured(*upstream)) {
            item.fault(unknown_name("upstream", *upstream, reading.upstreams));
        } else if (std::count(tier.upstreams.begin(), tier.upstreams.end(), *upstream)) {
            item.fault("upstream '" + *upstream + "' is already in this tier");
            continue;
        } else if (const PolicyTier* other = reading.policy.tier_of(*upstream)) {
            item.fault("upstream '" + *upstream + "' is already in tier '" + other->name + "'");
        }
        tier.upstreams.push_back(*upstream);
    }
}

void read_tier(PolicyReading& reading, const std::string& name, Cursor& list) {
    PolicyTier tier;
    tier.name = name;
    if (name == "auto") {
        list.fault("'auto' means that the policy decides, name the tier otherwise");
    } else if (!plain_word(name)) {
        list.fault("a tier's name is a word without spaces, quotes or commas");
    } else if (reading.configured(name)) {
        list.fault("tier '" + name + "' has the name of an upstream, rename one of them");
    }
    read_upstreams(reading, list, tier);
    for (PolicyTier& before : reading.policy.tiers)
        if (before.name == name) {
            before = std::move(tier);
            return;
        }
    reading.policy.tiers.push_back(std::move(tier));
}

// A tier that an extended file has already gets a new list, in its old place.
void read_tiers(PolicyReading& reading, Cursor& tiers) {
    auto pairs = tiers.pairs();
    if (tiers.is_map() && pairs.empty()) tiers.fault("expected at least one tier");
    for (auto& [name, list] : pairs)
        for (std::size_t i = 0; i < reading.policy.tiers.size(); ++i) {
            if (reading.policy.tiers[i].name != name) continue;
            reading.policy.tiers[i].upstreams.clear();
            reading.changed.emplace_back(name, list);
            for (const Confinement& one : reading.policy.confine)
                if ((one.tiers >> i & 1) != 0)
                    list.fault("tier '" + name + "' is where " + one.file + ":" +
                               std::to_string(one.line) +
                               " confines data to: its upstreams may not be changed here");
        }
    std::vector<std::string> seen;
    for (auto& [name, list] : pairs) {
        if (std::count(seen.begin(), seen.end(), name)) continue;  // pairs() has faulted it
        read_tier(reading, name, list);
        seen.push_back(name);
    }
    if (reading.policy.tiers.size() > tiers_max)
        tiers.fault("expected at most " + std::to_string(tiers_max) + " tiers");
}

using RawAliases = std::map<std::string, std::string, std::less<>>;

// Follows `name` to its end; a loop or an unknown end is a fault.
void resolve_alias(PolicyReading& reading, const std::string& name, Cursor& at,
                   const RawAliases& raw) {
    Policy& policy = reading.policy;
    std::string end = name;
    for (std::size_t steps = 0;; ++steps) {
        auto next = raw.find(end);
        auto extended = policy.aliases.find(end);
        if (next == raw.end() && (extended == policy.aliases.end() || end == name)) break;
        end = next == raw.end() ? extended->second : next->second;
        if (steps > raw.size() || end == name) {
            at.fault("alias '" + name + "' leads in a circle");
            return;
        }
    }
    if (end != "auto" && !policy.tier(end) && !policy.tier_of(end) && end != name) {
        if (reading.configured(end)) return fault_no_tier(at, end);
        std::vector<std::string> known = reading.tier_upstreams();
        for (const PolicyTier& tier : policy.tiers) known.push_back(tier.name);
        known.push_back("auto");
        at.fault(unknown_name("tier or upstream", end, known));
        return;
    }
    policy.aliases[name] = end;
}

void read_aliases(PolicyReading& reading, Cursor& aliases) {
    auto pairs = aliases.pairs();
    if (pairs.size() > aliases_max)
        aliases.fault("expected at most " + std::to_string(aliases_max) + " aliases");
    RawAliases raw;
    for (auto& [name, target] : pairs) {
        auto text = target.text();
        if (!text) continue;
        bool tier = reading.policy.tier(name) != nullptr;
        if (name == "auto" || tier || reading.configured(name)) {
            const char* what = name == "auto" ? "a word of its own"
                               : tier         ? "a tier"
                                              : "an upstream";
            target.fault("'" + name + "' already is " + what + ", choose another alias");
        } else if (!printable(name)) {
            target.fault("an alias is printable ASCII, at most 128 bytes");
        }
        raw[name] = *text;
    }
    for (auto& [name, target] : pairs)
        if (target.is_scalar()) resolve_alias(reading, name, target, raw);
}

void read_bands(PolicyReading& reading, Cursor& bands) {
    reading.policy.bands.clear();  // not added to an extended file's
    auto items = bands.items();
    if (bands.is_list() && items.empty()) bands.fault("expected at least one band");
    if (items.size() > bands_max)
        bands.fault("expected at most " + std::to_string(bands_max) + " bands");
    double reached = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
        Cursor& item = items[i];
        if (!item.expect_map()) continue;
        DifficultyBand band;
        if (auto tier = item.need("tier")) band.tier = reading.tier_name(*tier);
        bool is_last = i + 1 == items.size();
        if (auto below = item.find("below")) {
            auto number = below->number(0, 1);
            if (is_last) {
                below->fault("the last band must have no 'below': it takes all the rest");
            } else if (number && *number <= reached) {
                char said[96];
                std::snprintf(said, sizeof said, "bands must ascend: expected more than %g",
                              reached);
                below->fault(said);
            } else if (number) {
                band.below = reached = *number;
            }
        } else if (!is_last) {
            item.fault("missing key 'below': only the last band has none");
        }
        item.close();
        reading.policy.bands.push_back(std::move(band));
    }
}

void read_default(PolicyReading& reading, Cursor& standard) {
    if (!standard.expect_map()) return;
    auto bands = reading.policy.scoring.by_value ? standard.find("bands") : standard.need("bands");
    if (bands) read_bands(reading, *bands);
    reading.policy.effects = read_effects(reading, standard);
    standard.close();
}

void read_time_zone(PolicyReading& reading, Cursor& at) {
    auto text = at.text();
    if (!text) return;
    auto minutes = utc_offset_minutes(*text);
    if (!minutes) at.fault("expected an offset from UTC such as +02:00, got '" + *text + "'");
    reading.offset_minutes = minutes.value_or(0);
}

void read_headers(PolicyReading& reading, Cursor& list) {
    constexpr std::string_view secret[] = {"authorization", "api-key", "apikey",   "cookie",
                                           "token",         "secret",  "password", "credential"};
    auto& headers = reading.policy.headers;
    for (const std::string& text : list.texts()) {
        const std::string name = lower_case(text);
        if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string::npos)
            list.fault("'" + name + "' is not a header's name");
        if (std::any_of(std::begin(secret), std::end(secret), [&](std::string_view word) {
                return name.find(word) != std::string::npos;
            }))
            list.fault("'" + name + "' carries a credential: rules may not read it");
        if (std::find(headers.begin(), headers.end(), name) == headers.end())
            headers.push_back(name);
    }
    if (headers.size() > headers_max)
        list.fault("expected at most " + std::to_string(headers_max) + " headers");
}

// Added to those of an extended file.
void read_data_classes(PolicyReading& reading, Cursor& list) {
    auto& classes = reading.policy.data_classes;
    for (const std::string& text : list.texts()) {
        if (!is_data_class(text)) list.fault(std::string(data_class_shape));
        if (std::string name = lower_case(text);
            std::count(classes.begin(), classes.end(), name) == 0)
            classes.push_back(std::move(name));
    }
    if (list.is_list() && list.items().empty()) list.fault("expected at least one class");
    if (classes.size() > data_classes_max)
        list.fault("expected at most " + std::to_string(data_classes_max) + " classes");
}

// What a team's file may not say.
constexpr const char* company_keys[] = {"headers",  "extends",      "teams",   "tiers", "aliases",
                                        "baseline", "data_classes", "scoring", "pace",  "learning",
                                        "default",  "confine",      "callers"};

void read_version(Cursor& root) {
    if (auto version = root.need("version"))
        if (version->integer(1, 1'000'000).value_or(1) != 1)
            version->fault("expected 1, the only version of the format there is");
}

// Rules of a team's own requests, named after it.
void read_team_layer(PolicyReading& reading, Cursor root) {
    read_version(root);
    std::string owner;
    if (auto at = root.find("owner")) owner = at->text().value_or("");
    if (auto zone = root.find("time_zone")) read_time_zone(reading, *zone);
    if (auto rules = root.need("rules")) read_rules(reading, *rules);
    for (const char* key : company_keys)
        if (auto at = root.find(key))
            at->fault("stands in the company's file: of a team's file only its rules are read");
    root.close();
    Condition own;
    own.field = Field::team;
    own.words = {reading.team};
    for (std::size_t i = 0; i < reading.rules.size(); ++i) {
        PolicyRule& rule = reading.rules[i];
        if (rule.locked) reading.places[i].fault("a team's rule is not locked: it extends nobody");
        if (rule.effects.shadow_percent > 0)
            reading.places[i].fault(
                "shadow answers are paid and judged for all: 'shadow' stands in the "
                "company's file");
        if (rule.owner.empty()) rule.owner = owner;
        rule.name = reading.team + ": " + rule.name;
        if (rule.name.size() > name_bytes_max)
            reading.places[i].fault("its name with the team's, '" + rule.name +
                                    "', is longer than 128 bytes");
        rule.match.all.insert(rule.match.all.begin(), own);
    }
}

}  // namespace

bool PolicyReading::configured(std::string_view upstream) const {
    return policy.tier_of(upstream) ||
           std::find(upstreams.begin(), upstreams.end(), upstream) != upstreams.end();
}

std::vector<std::string> PolicyReading::tier_names() const {
    std::vector<std::string> names;
    for (const PolicyTier& tier : policy.tiers) names.push_back(tier.name);
    return names;
}

std::vector<std::string> PolicyReading::tier_upstreams() const {
    std::vector<std::string> names;
    for (const PolicyTier& tier : policy.tiers)
        names.insert(names.end(), tier.upstreams.begin(), tier.upstreams.end());
    return names;
}

std::string PolicyReading::tier_name(Cursor& at) const {
    auto name = at.text();
    if (!name) return "";
    if (!policy.tiers.empty() && !policy.tier(*name))
        at.fault(unknown_name("tier", *name, tier_names()));
    return *name;
}

std::string PolicyReading::upstream_name(Cursor& at) const {
    auto name = at.text();
    if (!name) return "";
    if (policy.tier_of(*name) || policy.tiers.empty()) return *name;
    if (configured(*name))
        fault_no_tier(at, *name);
    else
        at.fault(unknown_name("upstream", *name, tier_upstreams()));
    return *name;
}

bool printable(std::string_view text) {
    return !text.empty() && text.size() <= name_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }) &&
           text.front() != ' ' && text.back() != ' ';
}

std::string unknown_name(const char* kind, const std::string& name,
                         const std::vector<std::string>& known) {
    std::string near = nearest_word(name, known);
    std::string hint = near.empty() ? "expected one of " + listed(known)
                                    : std::string("did you mean '") + near + "'?";
    return std::string("unknown ") + kind + " '" + name + "', " + hint;
}

void fault_no_tier(Cursor& at, const std::string& upstream) {
    at.fault("upstream '" + upstream + "' is in no tier: add it to one, costs are by tier");
}

void read_layer(PolicyReading& reading, Cursor root) {
    if (!reading.team.empty()) return read_team_layer(reading, root);
    Policy& policy = reading.policy;
    read_version(root);
    root.find("extends");  // followed before
    if (auto callers = root.find("callers")) read_callers(reading, *callers);
    root.find("teams");
    if (auto owner = root.find("owner")) policy.owner = owner->text().value_or("");
    auto tiers = policy.tiers.empty() ? root.need("tiers") : root.find("tiers");
    if (tiers) read_tiers(reading, *tiers);
    if (auto aliases = root.find("aliases")) read_aliases(reading, *aliases);
    if (auto headers = root.find("headers")) read_headers(reading, *headers);
    if (auto classes = root.find("data_classes")) read_data_classes(reading, *classes);
    if (auto zone = root.find("time_zone")) read_time_zone(reading, *zone);
    if (auto baseline = root.find("baseline")) policy.baseline_tier = reading.tier_name(*baseline);
    if (auto scoring = root.find("scoring")) read_scoring(reading, *scoring);
    if (auto pace = root.find("pace")) read_pace(reading, *pace);
    if (auto learning = root.find("learning")) read_learning(reading, *learning);
    bool has_default = !policy.bands.empty() || policy.scoring.by_value;
    auto standard = has_default ? root.find("default") : root.need("default");
    if (standard) read_default(reading, *standard);
    if (auto confine = root.find("confine")) read_confine(reading, *confine);
    if (auto rules = root.find("rules")) read_rules(reading, *rules);
    root.close();
}

}  // namespace sluice
