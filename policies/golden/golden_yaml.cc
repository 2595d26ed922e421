// The golden file's keys, each read once.
#include <algorithm>
#include <set>

#include "policies/golden/golden_set.h"
#include "policies/golden/scorer_yaml.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

constexpr std::size_t cases_max = 10'000;
constexpr std::size_t id_bytes_max = 100;

template <class Int>
void read_int(Cursor& map, const char* key, Int& out, std::int64_t low, std::int64_t high) {
    if (auto at = map.find(key))
        if (auto value = at->integer(low, high)) out = static_cast<Int>(*value);
}

// What a case may say, and `defaults` for all of them.
void read_common(Cursor& map, GoldenCase& one) {
    read_int(map, "max_tokens", one.max_tokens, 1, 1'000'000);
    read_int(map, "repeats", one.repeats, 1, 100);
    read_int(map, "deadline_ms", one.deadline_ms, 1, 3'600'000);
    if (auto at = map.find("temperature"))
        if (auto value = at->number(0, 2)) one.temperature = *value;
    if (auto at = map.find("org")) one.org = at->text().value_or("");
    if (auto at = map.find("team")) one.team = at->text().value_or("");
    if (auto at = map.find("data_class")) {
        one.labels.data_class = data_class_of(at->text().value_or(""));
        if (!is_data_class(one.labels.data_class)) at->fault(std::string(data_class_shape));
    }
    if (auto at = map.find("tags"))
        for (auto& [name, value] : at->pairs()) one.labels.tags[name] = value.text().value_or("");
}

Message message_of(Role role, std::string text) {
    Message out;
    out.role = role;
    out.parts.emplace_back().text = std::move(text);
    return out;
}

void read_message(Cursor& item, std::vector<Message>& messages) {
    if (!item.expect_map()) return;
    std::string role, content;
    if (auto at = item.need("role"))
        role = at->one_of({"system", "user", "assistant"}).value_or("");
    if (auto at = item.need("content")) content = at->text().value_or("");
    item.close();
    Role known = Role::user;
    if (role == "system") known = Role::system;
    if (role == "assistant") known = Role::assistant;
    messages.push_back(message_of(known, content));
}

void read_messages(Cursor& map, GoldenCase& one) {
    auto prompt = map.find("prompt");
    auto list = map.find("messages");
    if (!prompt == !list) return map.fault("expected one of 'prompt' and 'messages'");
    if (prompt) {
        one.messages.push_back(message_of(Role::user, prompt->text().value_or("")));
        return;
    }
    for (Cursor& item : list->items()) read_message(item, one.messages);
    if (!one.messages.empty() && one.messages.back().role != Role::user)
        list->fault("expected the user's message last");
    if (list->is_list() && one.messages.empty()) list->fault("expected at least one message");
}

void read_case(Cursor& item, const GoldenCase& defaults, GoldenSet& set,
               std::set<std::string>& ids) {
    if (!item.expect_map()) return;
    GoldenCase one = defaults;
    one.line = item.line();
    one.digest = sha256_hex(defaults.digest + item.yaml()).substr(0, 16);
    if (auto at = item.need("id")) {
        one.id = at->text().value_or("");
        if (!one.id.empty() && !ids.insert(one.id).second)
            at->fault("duplicate case id '" + one.id + "'");
        if (one.id.size() > id_bytes_max) at->fault("expected at most 100 bytes");
    }
    read_common(item, one);
    read_messages(item, one);
    if (auto at = item.need("score")) {
        read_scorer(*at, one.scorer);
        if (one.restricted() && std::holds_alternative<JudgeScorer>(one.scorer))
            at->fault(
                "a case of data_class 'restricted' is shown to no judge: choose another scorer");
    }
    item.close();
    set.cases.push_back(std::move(one));
}

void read_judge(Cursor& root, GoldenSet& set) {
    auto at = root.find("judge");
    if (!at || !at->expect_map()) return;
    if (auto tier = at->need("tier")) set.judge.tier = tier->text().value_or("");
    read_int(*at, "max_tokens", set.judge.max_tokens, 1, 1'000'000);
    at->close();
}

template <class Kind>
bool any_of_kind(const GoldenSet& set) {
    return std::any_of(set.cases.begin(), set.cases.end(), [](const GoldenCase& one) {
        return std::holds_alternative<Kind>(one.scorer);
    });
}

}  // namespace

bool GoldenSet::runs_code() const { return any_of_kind<CodeScorer>(*this); }
bool GoldenSet::asks_judge() const { return any_of_kind<JudgeScorer>(*this); }

std::string_view scorer_name(const Scorer& scorer) {
    struct Namer {
        std::string_view operator()(const ExactScorer&) { return "exact"; }
        std::string_view operator()(const NumericScorer&) { return "numeric"; }
        std::string_view operator()(const RegexScorer&) { return "regex"; }
        std::string_view operator()(const JsonScorer&) { return "json_schema"; }
        std::string_view operator()(const CodeScorer&) { return "code_run"; }
        std::string_view operator()(const JudgeScorer& judge) {
            return judge.compare ? "judge_compare" : "judge_rubric";
        }
    };
    return std::visit(Namer(), scorer);
}

GoldenSet read_golden(std::string_view yaml, const std::string& file, std::vector<Fault>& faults) {
    GoldenSet set;
    set.file = file;
    set.sha256 = sha256_hex(yaml);
    auto root = Cursor::parse(yaml, file, faults);
    if (!root || !root->expect_map()) return set;
    if (auto version = root->need("version")) version->integer(1, 1);
    GoldenCase defaults;
    if (auto at = root->find("defaults"); at && at->expect_map()) {
        defaults.digest = at->yaml();
        read_common(*at, defaults);
        at->close();
    }
    read_judge(*root, set);
    std::set<std::string> ids;
    if (auto list = root->need("cases")) {
        auto items = list->items();
        if (list->is_list() && items.empty()) list->fault("expected at least one case");
        if (items.size() > cases_max)
            list->fault("expected at most 10,000 cases");
        else
            for (Cursor& item : items) read_case(item, defaults, set, ids);
        if (set.asks_judge() && set.judge.tier.empty())
            list->fault("cases that a judge scores need the section 'judge' with its tier");
    }
    root->close();
    return set;
}

}  // namespace sluice
