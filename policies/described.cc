#include "policies/described.h"

#include <algorithm>
#include <ctime>

#include "policies/classify_lines.h"
#include "policies/correction.h"
#include "providers/price_book.h"
#include "providers/token_estimate.h"

namespace sluice {
namespace {

constexpr std::int64_t tokens_max = 100'000'000;

void read_text(Cursor& item, const char* key, std::string& out) {
    if (auto at = item.find(key)) out = at->text().value_or("");
}

void read_map(Cursor& item, const char* key, std::map<std::string, std::string, std::less<>>& out) {
    if (auto map = item.find(key))
        for (auto& [name, value] : map->pairs())
            if (auto text = value.text()) out[name] = *text;
}

bool wanted(Cursor& item, const char* key) {
    auto at = item.find(key);
    return at && at->boolean().value_or(false);
}

// "2026-11-23T21:30Z": a time that rules about times of day can be tried at.
void read_time(Cursor& at, std::int64_t& out) {
    auto text = at.text();
    if (!text) return;
    std::tm parts{};
    const char* end = ::strptime(text->c_str(), "%Y-%m-%dT%H:%MZ", &parts);
    const int day = parts.tm_mday;
    if (end != nullptr && *end == '\0') out = ::timegm(&parts);
    if (end == nullptr || *end != '\0' || parts.tm_mday != day)  // 31 February
        at.fault("expected a time in UTC such as 2026-11-23T21:30Z, got '" + *text + "'");
}

void read_domain(Cursor& at, std::optional<Domain>& out) {
    std::string name = at.text().value_or("");
    std::vector<std::string> known;
    for (std::size_t i = 0; i < domain_count; ++i) {
        known.emplace_back(domain_name(static_cast<Domain>(i)));
        if (known.back() == name) out = static_cast<Domain>(i);
    }
    std::string near = nearest_word(name, known);
    if (!out && !name.empty())
        at.fault("no domain '" + name + "'" +
                 (near.empty() ? "" : ", did you mean '" + near + "'?"));
}

void read_needs(Cursor& item, ChatRequest& request) {
    if (wanted(item, "tools")) request.tools.emplace_back();
    if (wanted(item, "json_schema")) request.response_format = R"({"type":"json_schema"})";
    if (auto at = item.find("max_tokens")) request.max_tokens = at->integer(1, tokens_max);
    std::int64_t turns = 1;
    if (auto at = item.find("turns")) turns = at->integer(1, 10'000).value_or(1);
    // Earlier turns without a text, before the prompt.
    for (std::int64_t i = request.messages.empty() ? 0 : 1; i < turns; ++i)
        request.messages.insert(request.messages.begin(), Message());
    auto carries = [&](const char* key, Part::Kind kind) {
        if (wanted(item, key)) request.messages.back().parts.emplace_back().kind = kind;
    };
    carries("images", Part::Kind::image);
    carries("audio", Part::Kind::audio);
    carries("files", Part::Kind::file);
}

void read_book_price(Cursor& at, const std::string& vendor, const std::string& date,
                     Upstream& upstream) {
    auto field = at.need("model");
    if (!field) return;
    upstream.model = field->text().value_or("");
    upstream.vendor.name = vendor;
    const PriceEntry* entry = PriceBook::builtin().find(vendor, upstream.model, date);
    if (entry != nullptr)
        upstream.price = entry->price;
    else
        at.fault("the price book knows no price of " + vendor + " " + upstream.model + " on " +
                 date + ": write 'input' and 'output' in its place");
}

void read_price(Cursor& at, Price& price) {
    auto one = [](std::optional<Cursor> field, std::int64_t otherwise) {
        if (!field) return otherwise;
        auto text = field->text();
        if (!text) return otherwise;
        auto pico = pico_per_token(*text);
        if (!pico) field->fault(pico.error().message);
        return pico ? *pico : otherwise;
    };
    price.input = one(at.need("input"), 0);
    price.output = one(at.need("output"), 0);
    price.cache_read = one(at.find("cached_input"), price.input);
    price.cache_write = price.cache_write_1h = price.input;
}

}  // namespace

DescribedRequest read_described(Cursor& item, const Policy& policy) {
    DescribedRequest out;
    auto prompt = item.find("prompt");
    if (prompt) out.request = request_of(prompt->text().value_or(""));
    out.request.model = "auto";
    read_text(item, "org", out.caller.org);
    read_text(item, "team", out.caller.team);
    read_text(item, "key", out.caller.key_id);
    read_text(item, "user", out.caller.user);
    if (auto at = item.find("data_class")) {
        out.labels.data_class = data_class_of(at->text().value_or(""));
        if (!out.labels.data_class.empty() && !is_data_class(out.labels.data_class))
            at->fault(std::string(data_class_shape));
    }
    read_text(item, "session", out.labels.session_id);
    if (auto at = item.find("session_at")) {
        out.session_at = at->text().value_or("");
        if (policy.tier_of(out.session_at) == nullptr)
            fault_unknown_upstream(*at, policy, out.session_at);
    }
    if (auto at = item.find("session_cached"))
        out.session_cached = at->integer(0, tokens_max).value_or(0);
    read_text(item, "model", out.request.model);
    read_map(item, "tags", out.labels.tags);
    read_map(item, "headers", out.labels.headers);
    if (auto at = item.find("input_tokens")) out.input_tokens = at->integer(0, tokens_max);
    if (auto at = item.find("difficulty")) out.difficulty = at->number(0, 1);
    if (auto at = item.find("gain")) out.gain = at->number(-1, 1);
    if (auto at = item.find("needs_reasoning")) out.needs_reasoning = at->number(0, 1);
    if (auto at = item.find("domain")) read_domain(*at, out.domain);
    if (auto at = item.find("pace_shift")) out.shift = at->number(-0.95, 0.95).value_or(0);
    if (auto at = item.find("budget_pressure")) out.budget_pressure = at->number(0, 10).value_or(0);
    if (auto at = item.find("at")) read_time(*at, out.unix_seconds);
    read_needs(item, out.request);
    if (!prompt && !item.find("difficulty"))
        item.fault("expected 'difficulty', or 'prompt' for the classifier to read");
    if (!prompt && !item.find("input_tokens"))
        item.fault("expected 'input_tokens', or 'prompt' to estimate them from");
    return out;
}

Difficulty difficulty_of(const DescribedRequest& described, const Classifier& classifier,
                         const OnlineWeights* learned) {
    Difficulty difficulty;
    OnlineFeatures kept;
    if (!described.difficulty || !described.gain)
        difficulty =
            classify_learned(classifier, learned, described.request, described.labels, kept);
    if (described.difficulty) difficulty.score = *described.difficulty;
    if (described.difficulty) difficulty.gain = 0;
    if (described.gain) difficulty.gain = *described.gain;
    if (described.difficulty || described.gain)
        difficulty.ok_frontier = std::clamp(1 - difficulty.score + difficulty.gain, 0.0, 1.0);
    if (described.needs_reasoning) difficulty.needs_reasoning = *described.needs_reasoning;
    if (described.domain) difficulty.domain = *described.domain;
    if (described.expected_output_tokens)
        difficulty.expected_output_tokens = difficulty.expected_output_tokens_frontier =
            static_cast<double>(*described.expected_output_tokens);
    return difficulty;
}

std::int64_t input_tokens_of(const DescribedRequest& described) {
    return described.input_tokens ? *described.input_tokens
                                  : estimate_input_tokens(described.request);
}

RouteInput route_input(const DescribedRequest& described, const Difficulty& difficulty) {
    RouteInput input{described.caller, described.labels, described.request, difficulty,
                     input_tokens_of(described)};
    input.unix_seconds = described.unix_seconds;
    input.budget_pressure = described.budget_pressure;
    input.shift = described.shift;
    input.chance = described.chance;
    if (!described.session_at.empty())
        input.session = {upstream_mark(described.session_at), described.session_cached};
    return input;
}

void fault_unknown_upstream(Cursor& at, const Policy& policy, const std::string& name) {
    std::vector<std::string> known;
    std::string all;
    for (const PolicyTier& tier : policy.tiers)
        for (const std::string& one : tier.upstreams) {
            known.push_back(one);
            all += (all.empty() ? "" : ", ") + one;
        }
    std::string near = nearest_word(name, known);
    at.fault("no upstream '" + name + "' in the policy" +
             (near.empty() ? ", it names " + all : ", did you mean '" + near + "'?"));
}

std::vector<Upstream> read_described_upstreams(Cursor& map, const Policy& policy,
                                               const std::string& date) {
    std::vector<Upstream> out;
    for (auto& [name, at] : map.pairs()) {
        if (policy.tier_of(name) == nullptr) fault_unknown_upstream(at, policy, name);
        if (!at.expect_map()) continue;
        Upstream upstream;
        upstream.name = name;
        upstream.images = true;
        upstream.price_known = true;
        if (auto vendor = at.find("vendor"))
            read_book_price(at, vendor->text().value_or(""), date, upstream);
        else
            read_price(at, upstream.price);
        if (auto field = at.find("tools")) upstream.tools = field->boolean().value_or(true);
        if (auto field = at.find("images")) upstream.images = field->boolean().value_or(true);
        if (auto field = at.find("json_schema"))
            upstream.json_schema = field->boolean().value_or(true);
        if (auto field = at.find("context_tokens"))
            upstream.context_tokens = field->integer(1, tokens_max).value_or(0);
        at.close();
        out.push_back(std::move(upstream));
    }
    return out;
}

}  // namespace sluice
