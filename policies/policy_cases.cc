#include "policies/policy_cases.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "policies/described.h"
#include "policies/route.h"

namespace sluice {
namespace {

constexpr std::size_t cases_max = 10'000;

// What a case says of the decision; only what is given is compared.
struct Expected {
    std::optional<std::string> tier, upstream, rule, refused, reasoning_effort;
    std::optional<std::int64_t> max_tokens;
    std::vector<std::string> route;  // upstreams in order
    std::vector<std::string> never;  // tiers that no attempt may go to
};

struct Case {
    std::string name;
    int line = 0;
    DescribedRequest described;
    std::vector<std::string> down, disabled;
    Expected expected;
};

class CasesReader {
public:
    CasesReader(const std::string& file, const std::string& date, std::vector<Fault>& faults,
                const PolicyLoader& load)
        : file_(file), date_(date), faults_(faults), load_(load) {}

    void read(Cursor root) {
        if (!root.expect_map()) return;
        if (auto version = root.find("version")) version->integer(1, 1);
        auto named = root.need("policy");
        if (!named || !read_named_policy(*named)) return;
        upstreams = default_upstreams();
        if (auto at = root.find("upstreams"))
            for (Upstream& one : read_described_upstreams(*at, policy, date_))
                for (Upstream& known : upstreams)
                    if (known.name == one.name) known = std::move(one);
        if (auto list = root.need("cases")) read_cases(*list);
        root.close();
    }

    Policy policy;
    std::vector<Upstream> upstreams;
    std::vector<Case> cases;

private:
    bool read_named_policy(Cursor& at) {
        auto name = at.text();
        if (!name) return false;
        std::filesystem::path given(*name);
        std::filesystem::path beside = std::filesystem::path(file_).parent_path() / given;
        std::string path = (given.is_absolute() ? given : beside).lexically_normal().string();
        auto text = load_(path);
        if (!text) {
            at.fault("cannot read " + path + " (of at most 1 MiB)");
            return false;
        }
        std::size_t before = faults_.size();
        policy = read_policy(*text, path, {}, faults_, load_);
        return faults_.size() == before;
    }

    // Every upstream of the policy, able to do anything, dearer from tier to tier.
    std::vector<Upstream> default_upstreams() const {
        std::vector<Upstream> out;
        std::int64_t price = 1'000'000;
        for (const PolicyTier& tier : policy.tiers) {
            for (const std::string& name : tier.upstreams) {
                Upstream& one = out.emplace_back();
                one.name = name;
                one.images = true;
                one.price_known = true;
                one.price.input = one.price.cache_read = price;
                one.price.output = price * 4;
            }
            price *= 4;
            if (price > 100'000'000) price = 100'000'000;
        }
        return out;
    }

    void read_cases(Cursor& list) {
        auto items = list.items();
        if (list.is_list() && items.empty()) list.fault("expected at least one case");
        if (items.size() > cases_max)
            return list.fault("expected at most " + std::to_string(cases_max) + " cases");
        for (Cursor& item : items) {
            if (!item.expect_map()) continue;
            Case one;
            one.line = item.line();
            if (auto at = item.need("name")) one.name = at->text().value_or("");
            if (auto at = item.need("request")) read_request(*at, one);
            if (auto at = item.need("expect")) read_expected(*at, one.expected);
            item.close();
            cases.push_back(std::move(one));
        }
    }

    void read_request(Cursor& at, Case& one) {
        if (!at.expect_map()) return;
        // A case about rules needs neither a prompt nor a difficulty: then it is an easy one.
        bool plain = !at.find("prompt") && !at.find("difficulty");
        bool counted = at.find("prompt") || at.find("input_tokens");
        std::size_t before = faults_.size();
        one.described = read_described(at, policy);
        if (plain || !counted) drop_missing(before);
        if (plain) one.described.difficulty = 0;
        if (!counted) one.described.input_tokens = 100;
        if (auto chance = at.find("chance"))
            one.described.chance = chance->number(0, 1).value_or(1);
        read_upstreams(at, "down", one.down);
        read_upstreams(at, "disabled", one.disabled);
        at.close();
    }

    // The faults that say that a prompt or figures are missing.
    void drop_missing(std::size_t from) {
        auto missing = [](const Fault& fault) {
            return fault.message.starts_with("expected 'difficulty', or") ||
                   fault.message.starts_with("expected 'input_tokens', or");
        };
        faults_.erase(std::remove_if(faults_.begin() + static_cast<std::ptrdiff_t>(from),
                                     faults_.end(), missing),
                      faults_.end());
    }

    void read_upstreams(Cursor& map, const char* key, std::vector<std::string>& out) {
        auto list = map.find(key);
        if (!list) return;
        out = list->texts();
        for (const std::string& name : out)
            if (policy.tier_of(name) == nullptr) fault_unknown_upstream(*list, policy, name);
    }

    void read_expected(Cursor& at, Expected& expected) {
        if (!at.expect_map()) return;
        auto text = [&at](const char* key, std::optional<std::string>& out) {
            if (auto field = at.find(key)) out = field->text();
        };
        if (auto field = at.find("tier")) expected.tier = tier_name(*field);
        if (auto field = at.find("upstream")) {
            expected.upstream = field->text();
            if (expected.upstream && policy.tier_of(*expected.upstream) == nullptr)
                fault_unknown_upstream(*field, policy, *expected.upstream);
        }
        text("rule", expected.rule);
        text("refused", expected.refused);
        text("reasoning_effort", expected.reasoning_effort);
        if (auto field = at.find("max_tokens")) expected.max_tokens = field->integer(1, 10'000'000);
        if (auto field = at.find("route")) expected.route = field->texts();
        if (auto field = at.find("never"))
            for (Cursor& one : field->is_scalar() ? std::vector<Cursor>{*field} : field->items())
                expected.never.push_back(tier_name(one));
        check_rule(at, expected);
        bool none = !expected.tier && !expected.upstream && !expected.rule && !expected.refused &&
                    !expected.reasoning_effort && !expected.max_tokens && expected.route.empty() &&
                    expected.never.empty();
        at.close();
        if (none)
            at.fault(
                "expected some of tier, upstream, rule, refused, max_tokens, reasoning_effort, "
                "route, never");
    }

    std::string tier_name(Cursor& at) {
        std::string name = at.text().value_or("");
        std::vector<std::string> known;
        for (const PolicyTier& tier : policy.tiers) known.push_back(tier.name);
        if (name.empty() || policy.tier(name) != nullptr) return name;
        std::string near = nearest_word(name, known);
        at.fault("no tier '" + name + "' in the policy" +
                 (near.empty() ? "" : ", did you mean '" + near + "'?"));
        return name;
    }

    void check_rule(Cursor& at, const Expected& expected) {
        if (!expected.rule || *expected.rule == "default" || *expected.rule == "default (canary)" ||
            expected.rule->starts_with("model:"))
            return;
        std::vector<std::string> known = {"default"};
        for (const PolicyRule& rule : policy.rules) {
            known.push_back(rule.name);
            known.push_back(rule.name + " (canary)");
        }
        if (std::find(known.begin(), known.end(), *expected.rule) != known.end()) return;
        std::string near = nearest_word(*expected.rule, known);
        at.find("rule")->fault("no rule '" + *expected.rule + "' in the policy" +
                               (near.empty() ? "" : ", did you mean '" + near + "'?"));
    }

    const std::string& file_;
    const std::string& date_;
    std::vector<Fault>& faults_;
    const PolicyLoader& load_;
};

void compare(CaseResult& result, const char* what, const std::optional<std::string>& expected,
             const std::string& got) {
    if (expected && *expected != got)
        result.failures.push_back(std::string(what) + ": expected " + *expected + ", got " +
                                  (got.empty() ? "none" : got));
}

void compare_route(CaseResult& result, const Expected& expected, const Route& route) {
    const Attempt& first = route.attempts.front();
    compare(result, "tier", expected.tier, first.tier);
    compare(result, "upstream", expected.upstream, first.upstream->name);
    compare(result, "rule", expected.rule, route.rule);
    compare(result, "reasoning_effort", expected.reasoning_effort,
            std::string(first.reasoning_effort));
    if (expected.max_tokens)
        compare(result, "max_tokens", std::to_string(*expected.max_tokens),
                route.max_tokens ? std::to_string(*route.max_tokens) : "");
    std::string wanted, got;
    for (const std::string& name : expected.route) wanted += (wanted.empty() ? "" : ", ") + name;
    for (const Attempt& one : route.attempts) got += (got.empty() ? "" : ", ") + one.upstream->name;
    if (!wanted.empty()) compare(result, "route", wanted, got);
    for (const std::string& tier : expected.never)
        for (const Attempt& one : route.attempts)
            if (one.tier == tier)
                result.failures.push_back("never: expected no attempt on " + tier + ", got " +
                                          one.upstream->name);
}

CaseResult run_case(const Case& one, const Policy& policy, const std::vector<Upstream>& upstreams,
                    const Classifier& classifier, const OnlineWeights* learned) {
    CaseResult result;
    result.name = one.name;
    result.line = one.line;
    auto among = [](const std::vector<std::string>& names, const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    std::vector<UpstreamView> views;
    for (const Upstream& upstream : upstreams)
        if (!among(one.disabled, upstream.name))
            views.push_back({&upstream, !among(one.down, upstream.name), "down in this case"});
    Difficulty difficulty = difficulty_of(one.described, classifier, learned);
    auto route = choose_route(policy, route_input(one.described, difficulty), views);
    if (route) {
        if (one.expected.refused)
            result.failures.push_back("refused: expected a refusal, got tier " +
                                      route->attempts.front().tier + " by rule " + route->rule);
        compare_route(result, one.expected, *route);
        result.why = route->reason;
        return result;
    }
    const std::string& said = route.error().message;
    result.why = "refused: " + said;
    bool wanted = one.expected.refused && (*one.expected.refused == "true" ||
                                           said.find(*one.expected.refused) != said.npos);
    bool only_never = !one.expected.refused && !one.expected.tier && !one.expected.upstream &&
                      !one.expected.rule && !one.expected.never.empty();
    if (!wanted && !only_never)
        result.failures.push_back(one.expected.refused
                                      ? "refused: expected words with '" + *one.expected.refused +
                                            "', got '" + said + "'"
                                      : "expected an answer, got a refusal");
    return result;
}

}  // namespace

std::vector<CaseResult> run_policy_cases(std::string_view yaml, const std::string& file,
                                         const Classifier& classifier, const std::string& date,
                                         std::vector<Fault>& faults, const PolicyLoader& load,
                                         const OnlineWeights* learned) {
    std::vector<CaseResult> results;
    auto root = Cursor::parse(yaml, file, faults);
    if (!root) return results;
    CasesReader reader(file, date, faults, load);
    std::size_t before = faults.size();
    reader.read(*root);
    if (faults.size() != before) return results;
    for (const Case& one : reader.cases)
        results.push_back(run_case(one, reader.policy, reader.upstreams, classifier, learned));
    return results;
}

}  // namespace sluice
