#include "policies/policy_bench.h"

#include <algorithm>
#include <chrono>

#include "policies/classify_lines.h"
#include "policies/route.h"

namespace sluice {
namespace {

constexpr const char* by_bands =
    "default: {bands: [{below: 0.5, tier: local}, {tier: frontier}]}\n";
constexpr const char* by_value =
    "scoring: {mode: value, value_usd: '0.01', second_usd: '0.0001'}\n";

std::string policy_text(int rules, std::string (*when)(const std::string& number),
                        const char* choice = by_bands) {
    std::string text = "version: 1\ntiers: {local: [here], open: [a, b], frontier: [far]}\n";
    text += choice;
    text += "confine: [{name: home, when: {data_class: restricted}, to: [local]}]\nrules:\n";
    for (int i = 0; i < rules; ++i) {
        std::string number = std::to_string(i);
        text += "  - {name: rule " + number + ", when: " + when(number) + ", use: local}\n";
    }
    return text;
}

std::string by_team(const std::string& n) {
    return "{team: [team-" + n + ", all-" + n + "], tags: {app: app-" + n +
           "}, difficulty: {below: 0.9}}";
}
std::string by_tag(const std::string& n) {  // nothing to index
    return "{tags: {project: p" + n + "}, input_tokens: {min: 10}}";
}
std::string nested(const std::string& n) {
    return "{any: [{team: team-" + n + "}, {tags: {app: app-" + n +
           "}}], not: {model: far}, turns: {min: 1}}";
}

Upstream upstream(const std::string& name) {
    Upstream one;
    one.name = name;
    one.price_known = true;
    one.price.input = one.price.output = 1'000'000;
    return one;
}

PolicyTiming time_one(const std::string& what, const std::string& text, int calls) {
    std::vector<Fault> faults;
    Policy policy = read_policy(text, "bench", {}, faults);
    const std::vector<Upstream> upstreams = {upstream("here"), upstream("a"), upstream("b"),
                                             upstream("far")};
    std::vector<UpstreamView> views;
    for (const Upstream& one : upstreams) views.push_back({&one, true, {}});
    Caller caller{"acme", "search", "key-1", "ann"};
    Labels labels;
    labels.tags = {{"app", "chat"}, {"project", "none"}};
    ChatRequest request = request_of("hello");
    Difficulty difficulty;
    RouteInput input{caller, labels, request, difficulty, 100, false};
    std::vector<double> took;
    took.reserve(static_cast<std::size_t>(calls));
    for (int i = 0; i < calls; ++i) {
        auto from = std::chrono::steady_clock::now();
        auto route = choose_route(policy, input, views);
        auto to = std::chrono::steady_clock::now();
        if (route) took.push_back(std::chrono::duration<double, std::micro>(to - from).count());
    }
    std::sort(took.begin(), took.end());
    PolicyTiming timing{what, 0, 0};
    if (took.empty()) return timing;
    timing.p50_us = took[took.size() / 2];
    timing.p99_us = took[took.size() * 99 / 100];
    return timing;
}

}  // namespace

std::vector<PolicyTiming> time_policies(int rules, int calls) {
    return {time_one("none", policy_text(0, by_team), calls),
            time_one("team, tag and difficulty", policy_text(rules, by_team), calls),
            time_one("tag and tokens", policy_text(rules, by_tag), calls),
            time_one("any, not and turns", policy_text(rules, nested), calls),
            time_one("the first, then value", policy_text(rules, by_team, by_value), calls)};
}

}  // namespace sluice
