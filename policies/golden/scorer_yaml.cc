#include "policies/golden/scorer_yaml.h"

#include <algorithm>

namespace sluice {
namespace {

void read_flag(Cursor& map, const char* key, bool& out) {
    if (auto at = map.find(key))
        if (auto value = at->boolean()) out = *value;
}

ExactScorer read_exact(Cursor& at) {
    ExactScorer out;
    auto read_right = [&out](Cursor& right) {
        out.right = right.texts();
        if (right.is_list() && right.items().empty()) right.fault("expected at least one text");
    };
    if (!at.is_map()) {
        read_right(at);
        return out;
    }
    if (auto is = at.need("is")) read_right(*is);
    read_flag(at, "ignore_case", out.ignore_case);
    read_flag(at, "collapse_space", out.collapse_space);
    read_flag(at, "trim", out.trim);
    at.close();
    return out;
}

NumericScorer read_numeric(Cursor& at) {
    NumericScorer out;
    constexpr double most = 1e300;
    if (!at.is_map()) {
        out.right = at.number(-most, most).value_or(0);
        return out;
    }
    if (auto is = at.need("is")) out.right = is->number(-most, most).value_or(0);
    if (auto field = at.find("tolerance")) out.tolerance = field->number(0, most).value_or(0);
    at.close();
    return out;
}

void read_expression(Cursor& at, bool ignore_case, RegexScorer& out) {
    auto text = at.text();
    if (!text) return;
    auto pattern = Pattern::compile(*text, ignore_case);
    if (pattern)
        out.pattern = std::move(*pattern);
    else
        at.fault(pattern.error().message);
}

RegexScorer read_regex(Cursor& at) {
    RegexScorer out;
    if (!at.is_map()) {
        read_expression(at, false, out);
        return out;
    }
    bool ignore_case = false;
    read_flag(at, "ignore_case", ignore_case);
    if (auto finds = at.need("finds")) read_expression(*finds, ignore_case, out);
    at.close();
    return out;
}

CodeScorer read_code(Cursor& at) {
    CodeScorer out;
    if (!at.expect_map()) return out;
    if (auto field = at.need("command")) {
        out.command = field->texts();
        if (out.command.empty()) field->fault("expected a program and its arguments");
    }
    if (auto field = at.need("file")) {
        out.file = field->text().value_or("");
        bool plain = std::all_of(out.file.begin(), out.file.end(), [](unsigned char sign) {
            return std::isalnum(sign) != 0 || sign == '.' || sign == '_' || sign == '-';
        });
        if (!plain || out.file.starts_with('.'))
            field->fault("expected a plain file name such as main.py");
    }
    auto append = at.find("append");
    if (append) out.append = append->text().value_or("");
    if (auto field = at.find("input")) out.input = field->text().value_or("");
    if (auto field = at.find("output")) out.output = field->text().value_or("");
    if (append && !out.output && out.append.find(passed_mark) == std::string::npos)
        append->fault(
            "code that leaves before it would pass: have it print {{passed}} once all holds, or "
            "expect an 'output'");
    if (auto field = at.find("timeout_ms"))
        out.timeout_ms = static_cast<int>(field->integer(100, 120'000).value_or(10'000));
    at.close();
    return out;
}

JudgeScorer read_judged(Cursor& at) {
    JudgeScorer out;
    if (!at.expect_map()) return out;
    auto rubric = at.find("rubric");
    auto compare = at.find("compare");
    if (!rubric == !compare) {
        at.fault("expected one of 'rubric' (grades of 1 to 5) and 'compare' (with the first tier)");
    } else {
        out.compare = compare.has_value();
        out.rubric = (compare ? compare : rubric)->text().value_or("");
    }
    at.close();
    return out;
}

}  // namespace

void read_scorer(Cursor& at, Scorer& out) {
    if (!at.expect_map()) return;
    int named = 0;
    auto option = [&](const char* name, auto&& read) {
        auto found = at.find(name);
        if (!found) return;
        ++named;
        out = read(*found);
    };
    option("exact", read_exact);
    option("numeric", read_numeric);
    option("regex", read_regex);
    option("json_schema", [](Cursor& found) { return JsonScorer{read_json_shape(found)}; });
    option("code_run", read_code);
    option("judge", read_judged);
    at.close();
    if (named != 1)
        at.fault("expected exactly one of exact, numeric, regex, json_schema, code_run, judge");
}

}  // namespace sluice
