// The result's file.
#include <simdjson.h>

#include "engine/log.h"
#include "policies/golden/result.h"
#include "providers/json_write.h"

namespace sluice {
namespace {

using simdjson::dom::element;

void add_text(std::string& out, std::string_view opening, std::string_view text) {
    out += opening;
    append_json_string(out, text);
}

void add_case(std::string& out, const MeasuredCase& one) {
    add_text(out, "\n    {\"id\":", one.id);
    add_text(out, ",\"digest\":", one.digest);
    add_text(out, ",\"scorer\":", one.scorer);
    add_text(out, ",\"routed\":", one.routed);
    out += '}';
}

void add_tier(std::string& out, const MeasuredTier& one) {
    add_text(out, "\n    {\"tier\":", one.tier);
    add_text(out, ",\"upstream\":", one.upstream);
    add_text(out, ",\"identity\":", one.identity);
    out += ",\"cost_pico_usd\":" + std::to_string(one.cost.pico_usd) +
           ",\"median_ms\":" + std::to_string(one.median_ms) +
           ",\"left_out\":" + std::to_string(one.left_out) + ",\"errors\":{";
    bool first = true;
    for (const auto& [kind, count] : one.errors) {
        add_text(out, first ? "" : ",", kind);
        out += ":" + std::to_string(count);
        first = false;
    }
    out += "},\n     \"scores\":";
    append_json_list(out, one.scores, [&out](const std::optional<double>& score) {
        if (score)
            append_json_number(out, *score);
        else
            out += "null";
    });
    if (!one.texts.empty()) {
        out += ",\n     \"answers\":";
        append_json_list(out, one.texts,
                         [&out](const std::string& text) { append_json_string(out, text); });
    }
    out += '}';
}

void add_result(std::string& out, const GoldenResult& result) {
    out += "{\"sluice_golden_result\":" + std::to_string(result_version);
    add_text(out, ",\n  \"made\":", result.made);
    add_text(out, ",\"golden_sha256\":", result.golden_sha256);
    add_text(out, ",\"policy_version\":", result.policy_version);
    out += ",\"judge_cost_pico_usd\":" + std::to_string(result.judge_cost.pico_usd);
    out += ",\n  \"cases\":";
    append_json_list(out, result.cases, [&out](const MeasuredCase& one) { add_case(out, one); });
    out += ",\n  \"tiers\":";
    append_json_list(out, result.tiers, [&out](const MeasuredTier& one) { add_tier(out, one); });
    if (result.before) {
        out += ",\n  \"before\":";
        GoldenResult last = *result.before;
        last.before = nullptr;
        add_result(out, last);
    }
    out += '}';
}

// Reads members by name, remembering the first that is missing or of another type.
class Members {
public:
    Members(const element& object, std::string& fault) : object_(object), fault_(fault) {}

    std::string text(const char* name) {
        std::string_view out;
        if (object_[name].get_string().get(out)) fail(name, "a text");
        return std::string(out);
    }
    std::int64_t whole(const char* name) {
        std::int64_t out = 0;
        if (object_[name].get_int64().get(out)) fail(name, "a whole number");
        return out;
    }
    template <class Each>
    void list(const char* name, Each&& each) {
        simdjson::dom::array items;
        if (object_[name].get_array().get(items)) return fail(name, "a list");
        for (auto item : items) each(item);
    }
    std::map<std::string, int> counts(const char* name) {
        std::map<std::string, int> out;
        simdjson::dom::object object;
        if (object_[name].get_object().get(object))
            fail(name, "an object");
        else
            for (auto field : object) {
                std::int64_t count = 0;
                if (field.value.get_int64().get(count)) fail(name, "whole numbers");
                out[std::string(field.key)] = static_cast<int>(count);
            }
        return out;
    }

private:
    void fail(const char* name, const char* wanted) {
        if (fault_.empty()) fault_ = std::string("'") + name + "' is missing or not " + wanted;
    }
    element object_;
    std::string& fault_;
};

MeasuredTier tier_from(const element& item, std::string& fault) {
    Members members(item, fault);
    MeasuredTier one;
    one.tier = members.text("tier");
    one.upstream = members.text("upstream");
    one.identity = members.text("identity");
    one.cost.pico_usd = members.whole("cost_pico_usd");
    one.median_ms = members.whole("median_ms");
    one.left_out = static_cast<int>(members.whole("left_out"));
    one.errors = members.counts("errors");
    members.list("scores", [&](const element& score) {
        double value = 0;
        if (score.is_null())
            one.scores.emplace_back();
        else if (score.get_double().get(value) || !(value >= 0 && value <= 1))
            fault = "a score is not within 0 to 1";
        else
            one.scores.emplace_back(value);
    });
    return one;
}

GoldenResult result_from(const element& root, std::string& fault, bool outer) {
    Members members(root, fault);
    GoldenResult out;
    if (members.whole("sluice_golden_result") != result_version && fault.empty())
        fault = "it is of another version: measure again with this program";
    out.made = members.text("made");
    out.golden_sha256 = members.text("golden_sha256");
    out.policy_version = members.text("policy_version");
    out.judge_cost.pico_usd = members.whole("judge_cost_pico_usd");
    members.list("cases", [&](const element& item) {
        Members one(item, fault);
        out.cases.push_back(
            {one.text("id"), one.text("digest"), one.text("scorer"), one.text("routed")});
    });
    members.list("tiers", [&](const element& item) {
        out.tiers.push_back(tier_from(item, fault));
        if (out.tiers.back().scores.size() != out.cases.size() && fault.empty())
            fault = "a tier has not as many scores as there are cases";
    });
    element before;
    if (outer && !root["before"].get(before))
        out.before = std::make_shared<const GoldenResult>(result_from(before, fault, false));
    return out;
}

}  // namespace

std::string write_result(const GoldenResult& result) {
    std::string out;
    add_result(out, result);
    return out + "\n";
}

Result<GoldenResult> read_result(std::string_view json) {
    simdjson::dom::parser parser;
    element root;
    if (parser.parse(simdjson::padded_string(json)).get(root))
        return Error(Errc::bad_file, "not a result of `sluice eval`: not JSON");
    std::string fault;
    GoldenResult out = result_from(root, fault, true);
    if (!fault.empty()) return Error(Errc::bad_file, "not a result of `sluice eval`: " + fault);
    return out;
}

}  // namespace sluice
