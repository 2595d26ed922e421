#include "gateway/chat_reply.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "gateway/visible_ascii.h"
#include "providers/error_table.h"

namespace sluice {
namespace {

constexpr std::size_t label_bytes_max = 256;
constexpr std::size_t tags_max = 16;
constexpr std::size_t explain_bytes_max = 1'024;
constexpr std::size_t headers_usual = 10;  // of an answer

// A header value may hold only visible ASCII and spaces: names from YAML may hold anything.
std::string header_text(std::string_view text) {
    std::string out(text.substr(0, label_bytes_max));
    if (is_visible_ascii(out)) return out;
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) c = '?';
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

Status read_tags(std::string_view value, Labels& labels) {
    while (!value.empty()) {
        std::size_t comma = value.find(',');
        std::string_view pair = trimmed(value.substr(0, comma));
        value = comma == std::string_view::npos ? "" : value.substr(comma + 1);
        if (pair.empty()) continue;
        std::size_t equals = pair.find('=');
        bool shaped = equals != std::string_view::npos && equals > 0;
        if (!shaped || pair.size() > label_bytes_max || labels.tags.size() >= tags_max)
            return Error(Errc::invalid_request,
                         "x-sluice-tags: expected at most 16 name=value pairs separated by commas",
                         "x-sluice-tags");
        labels.tags[std::string(trimmed(pair.substr(0, equals)))] =
            std::string(trimmed(pair.substr(equals + 1)));
    }
    return Done{};
}

// A header that says where a request may go, and stands in it more than once: of two words, one
// from the caller and one from a proxy in front, neither is to be believed.
std::string_view given_twice(const HttpRequest& http, const Policy& policy) {
    auto more = [&http](std::string_view name) {
        return std::count_if(http.headers.begin(), http.headers.end(),
                             [name](const auto& field) { return field.first == name; }) > 1;
    };
    for (std::string_view name : {"x-sluice-data-class", "x-sluice-tags", "x-sluice-max-cost-usd"})
        if (more(name)) return name;
    for (const std::string& name : policy.headers)
        if (more(name)) return name;
    return {};
}

// Four decimals of a score in [0, 1]: formatting a double costs several times this.
std::string score_text(double score) {
    auto parts = static_cast<int>(std::clamp(score, 0.0, 1.0) * 10'000 + 0.5);
    std::string text = parts == 10'000 ? "1.0000" : "0.0000";
    for (std::size_t i = 5; i >= 2; --i, parts /= 10) text[i] = static_cast<char>('0' + parts % 10);
    return text;
}

Headers route_headers(const Walk& walk) {
    Headers headers;
    if (walk.route.rule.empty()) return headers;
    headers.reserve(headers_usual);
    headers.emplace_back("x-sluice-difficulty", score_text(walk.difficulty.score));
    headers.emplace_back("x-sluice-rule", header_text(walk.route.rule));
    headers.emplace_back("x-sluice-policy-version", walk.policy->version);
    if (!walk.route.reason.empty())  // asked for
        headers.emplace_back("x-sluice-explain", reasoning_line(walk.route, explain_bytes_max));
    return headers;
}

Headers attempt_headers(const Walk& walk, const std::string& model, const Tried& answering,
                        std::size_t attempts) {
    Headers headers = route_headers(walk);
    headers.emplace_back("x-sluice-tier", header_text(answering.tier));
    headers.emplace_back("x-sluice-upstream", header_text(answering.upstream->name));
    headers.emplace_back("x-sluice-model", header_text(model));
    headers.emplace_back("x-sluice-attempts", std::to_string(attempts));
    return headers;
}

// What the answer will probably cost: the classifier's expected length, or the caller's limit.
Money estimated_cost(const Walk& walk, const Upstream& upstream) {
    Usage usage;
    usage.in_uncached = walk.input_tokens;
    usage.out_text = static_cast<std::int64_t>(walk.difficulty.expected_output_tokens);
    if (walk.chat.max_tokens) usage.out_text = std::min(usage.out_text, *walk.chat.max_tokens);
    return cost_of(usage, upstream.price);
}

Money cost_so_far(const Walk& walk) {
    Money cost;
    for (const Tried& one : walk.tried) cost += cost_of(one.usage, one.upstream->price);
    return cost;
}

}  // namespace

std::string_view credential_of(const HttpRequest& http) {
    std::string_view authorization = http.header("authorization");
    return authorization.empty() ? http.header("x-api-key") : authorization;
}

Result<Labels> read_labels(const HttpRequest& http, const Policy& policy) {
    Labels labels;
    if (std::string_view twice = given_twice(http, policy); !twice.empty())
        return Error(
            Errc::invalid_request,
            std::string(twice) + " is given twice, and a policy may go by it; give it once",
            std::string(twice));
    auto tags = read_tags(http.header("x-sluice-tags"), labels);
    if (!tags) return tags.error();
    for (std::string_view name : {"x-sluice-data-class", "x-sluice-session-id"})
        if (http.header(name).size() > label_bytes_max)
            return Error(Errc::invalid_request,
                         std::string(name) + ": expected at most 256 characters",
                         std::string(name));
    labels.data_class = data_class_of(http.header("x-sluice-data-class"));
    if (!labels.data_class.empty() && !is_data_class(labels.data_class))
        return Error(Errc::invalid_request, "x-sluice-data-class: " + std::string(data_class_shape),
                     "x-sluice-data-class");
    labels.session_id = trimmed(http.header("x-sluice-session-id"));
    for (const std::string& name : policy.headers)
        if (auto value = trimmed(http.header(name)); !value.empty())
            labels.headers[name] = value.substr(0, label_bytes_max);
    std::string_view ceiling = trimmed(http.header("x-sluice-max-cost-usd"));
    if (ceiling.empty()) return labels;
    auto money = parse_usd(ceiling);
    if (!money)
        return Error(Errc::invalid_request, "x-sluice-max-cost-usd: " + money.error().message,
                     "x-sluice-max-cost-usd");
    labels.max_cost = *money;
    return labels;
}

bool explain_asked(const HttpRequest& http) {
    return trimmed(http.header("x-sluice-explain")) == "1";
}

AnswerHead head_of(const Walk& walk, const Delta& first) {
    AnswerHead head;
    head.id = "chatcmpl-" + walk.http.request_id;
    head.model = first.model;
    if (head.model.empty() && !walk.tried.empty()) head.model = walk.tried.back().upstream->model;
    auto now = std::chrono::system_clock::now().time_since_epoch();
    head.created = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    head.include_usage = walk.chat.include_usage;
    return head;
}

AnswerTail tail_of(const Walk& walk) {
    const Tried& answering = walk.tried.back();
    AnswerTail tail;
    tail.cost = cost_so_far(walk);
    tail.tier = answering.tier;
    tail.upstream = answering.upstream->name;
    tail.simulated = answering.upstream->vendor.simulated;
    return tail;
}

Headers answer_headers(const Walk& walk, const std::string& model) {
    return attempt_headers(walk, model, walk.tried.back(), walk.tried.size());
}

Headers answer_headers(const Walk& walk, const std::string& model, const Tried& open) {
    Headers headers = attempt_headers(walk, model, open, walk.tried.size() + 1);
    headers.emplace_back("x-sluice-estimated-cost-usd",
                         usd_text(estimated_cost(walk, *open.upstream)));
    headers.emplace_back("cache-control", "no-cache");
    return headers;
}

net::awaitable<void> send_error(Reply& reply, const Walk& walk, const Error& error) {
    if (reply.begun() || reply.stop().requested()) co_return;
    Headers headers = route_headers(walk);
    if (!walk.tried.empty()) {
        headers.emplace_back("x-sluice-attempts", std::to_string(walk.tried.size()));
        headers.emplace_back("x-sluice-cost-usd", usd_text(cost_so_far(walk)));
    }
    if (walk.route.rule.empty() && walk.input_tokens > 0 && explain_asked(walk.http)) {
        Route refused;  // decided, and nowhere to go
        refused.reason = "refused: " + error.message;
        headers.emplace_back("x-sluice-difficulty", score_text(walk.difficulty.score));
        headers.emplace_back("x-sluice-policy-version", walk.policy->version);
        headers.emplace_back("x-sluice-explain", reasoning_line(refused, explain_bytes_max));
    }
    if (error.retry_after_ms > 0)
        headers.emplace_back("retry-after", std::to_string((error.retry_after_ms - 1) / 1000 + 1));
    // What OpenAI's and Anthropic's SDKs look at: money does not come back within their patience.
    if (error.code == Errc::budget_spent) headers.emplace_back("x-should-retry", "false");
    std::string body = walk.dialect.write_error(error, walk.http.request_id);
    int status = error_row(error.code).status;
    co_await reply.send(status, "application/json", headers, body);
}

}  // namespace sluice
