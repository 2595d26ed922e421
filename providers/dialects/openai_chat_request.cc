#include <algorithm>
#include <array>
#include <charconv>

#include "engine/log.h"
#include "providers/dialects/openai_chat.h"
#include "providers/dialects/openai_chat_messages.h"
#include "providers/dialects/parameter_rows.h"
#include "providers/json_read.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

constexpr std::int64_t tokens_limit = 1'000'000'000;
constexpr std::size_t name_bytes_max = 256;
constexpr std::size_t logit_bias_max = 1024;  // OpenAI's own; the engine's too

std::string unknown_parameter(const std::string& key, const std::string& hint) {
    return "Unrecognized request argument supplied: " + key + hint;
}

class RequestReader {
public:
    explicit RequestReader(std::string_view body) : json_(body, Errc::invalid_request) {}

    Result<ChatRequest> read() {
        ParameterRows<RequestReader> parameters(rows);
        Status status = json_.root([&](std::string_view key, JsonValue value) -> Status {
            return parameters.read(*this, json_, value, JsonPath{nullptr, key, -1},
                                   unknown_parameter);
        });
        if (status) status = check();
        if (!status) return status.error();
        return std::move(request_);
    }

private:
    static const std::array<ParameterRow<RequestReader>, 39> rows;

    Status check();

    Status fraction(JsonValue value, const JsonPath& path, double low, double high,
                    std::optional<double>& out) {
        return json_.number(value, path, low, high, out.emplace());
    }
    Status refuse(const JsonPath& path, const std::string& message) {
        return unsupported(path, message);
    }

    Status model(JsonValue value, const JsonPath& path) {
        Status status = json_.text(value, path, request_.model);
        if (!status) return status;
        if (request_.model.empty() || request_.model.size() > name_bytes_max)
            return json_.wrong(path, "expected 1 to " + std::to_string(name_bytes_max) + " bytes");
        return status;
    }
    Status messages(JsonValue value, const JsonPath& path) {
        return read_messages(json_, value, path, request_.messages);
    }
    Status stream(JsonValue value, const JsonPath& path) {
        return json_.boolean(value, path, request_.stream);
    }
    Status stream_options(JsonValue value, const JsonPath& path);
    Status max_tokens(JsonValue value, const JsonPath& path) {
        return json_.integer(value, path, 1, tokens_limit, max_tokens_.emplace());
    }
    Status max_completion_tokens(JsonValue value, const JsonPath& path) {
        return json_.integer(value, path, 1, tokens_limit, request_.max_tokens.emplace());
    }
    Status temperature(JsonValue value, const JsonPath& path) {
        return fraction(value, path, 0, 2, request_.temperature);
    }
    Status top_p(JsonValue value, const JsonPath& path) {
        return fraction(value, path, 0, 1, request_.top_p);
    }
    Status top_k(JsonValue value, const JsonPath& path) {
        Status status = json_.integer(value, path, -1, tokens_limit, request_.top_k.emplace());
        // -1 and 0 are the two ways to say "all tokens".
        if (status && *request_.top_k <= 0) request_.top_k.reset();
        return status;
    }
    Status min_p(JsonValue value, const JsonPath& path) {
        return fraction(value, path, 0, 1, request_.min_p);
    }
    Status presence_penalty(JsonValue value, const JsonPath& path) {
        return fraction(value, path, -2, 2, request_.presence_penalty);
    }
    Status frequency_penalty(JsonValue value, const JsonPath& path) {
        return fraction(value, path, -2, 2, request_.frequency_penalty);
    }
    Status repetition_penalty(JsonValue value, const JsonPath& path) {
        return fraction(value, path, 0.01, 10, request_.repetition_penalty);
    }
    Status logit_bias(JsonValue value, const JsonPath& path);
    Status seed(JsonValue value, const JsonPath& path) {
        return json_.integer(value, path, INT64_MIN, INT64_MAX, request_.seed.emplace());
    }
    Status stop(JsonValue value, const JsonPath& path);
    Status logprobs(JsonValue value, const JsonPath& path) {
        return json_.boolean(value, path, request_.logprobs);
    }
    Status top_logprobs(JsonValue value, const JsonPath& path) {
        std::int64_t count = 0;
        Status status = json_.integer(value, path, 0, 20, count);
        request_.top_logprobs = static_cast<int>(count);
        return status;
    }
    Status tools(JsonValue value, const JsonPath& path) {
        return read_tools(json_, value, path, request_.tools);
    }
    Status tool_choice(JsonValue value, const JsonPath& path) {
        return read_tool_choice(json_, value, path, request_.tool_choice);
    }
    Status parallel_tool_calls(JsonValue value, const JsonPath& path) {
        return json_.boolean(value, path, request_.parallel_tool_calls.emplace());
    }
    Status response_format(JsonValue value, const JsonPath& path) {
        return read_response_format(json_, value, path, request_.response_format);
    }
    Status reasoning_effort(JsonValue value, const JsonPath& path);
    Status thinking_token_budget(JsonValue value, const JsonPath& path) {  // vLLM's
        return json_.integer(value, path, 0, INT32_MAX, request_.thinking_tokens_max.emplace());
    }
    Status user(JsonValue value, const JsonPath& path) {
        return json_.text(value, path, request_.user);
    }
    Status n(JsonValue value, const JsonPath& path) {
        std::int64_t count = 1;
        Status status = json_.integer(value, path, 1, 128, count);
        if (status && count != 1) return refuse(path, "only 1 answer a request is served");
        return status;
    }
    Status modalities(JsonValue value, const JsonPath& path);
    Status service_tier(JsonValue value, const JsonPath& path);
    Status keep(JsonValue value, const JsonPath& path) {
        std::string raw;
        Status status = json_.raw(value, raw);
        if (status) request_.extra.emplace_back(path.key, std::move(raw));
        return status;
    }
    Status functions(JsonValue, const JsonPath& path) {
        return refuse(path, "deprecated and not served: use tools");
    }
    Status function_call(JsonValue, const JsonPath& path) {
        return refuse(path, "deprecated and not served: use tool_choice");
    }
    Status audio(JsonValue, const JsonPath& path) {
        return refuse(path, "audio answers are not served");
    }
    Status prediction(JsonValue, const JsonPath& path) {
        return refuse(path, "predicted outputs are not served: leave it out");
    }
    Status web_search_options(JsonValue, const JsonPath& path) {
        return refuse(path, "web search is not served: give the model a tool that searches");
    }

    JsonReader json_;
    ChatRequest request_;
    std::optional<std::int64_t> max_tokens_;  // the old name
};

// Sorted by name.
constexpr std::array<ParameterRow<RequestReader>, 39> RequestReader::rows = {{
    {"audio", &RequestReader::audio},
    {"frequency_penalty", &RequestReader::frequency_penalty},
    {"function_call", &RequestReader::function_call},
    {"functions", &RequestReader::functions},
    {"logit_bias", &RequestReader::logit_bias},
    {"logprobs", &RequestReader::logprobs},
    {"max_completion_tokens", &RequestReader::max_completion_tokens},
    {"max_tokens", &RequestReader::max_tokens},
    {"messages", &RequestReader::messages, false},
    {"metadata", &RequestReader::keep},
    {"min_p", &RequestReader::min_p},
    {"modalities", &RequestReader::modalities},
    {"model", &RequestReader::model, false},
    {"n", &RequestReader::n},
    {"parallel_tool_calls", &RequestReader::parallel_tool_calls},
    {"prediction", &RequestReader::prediction},
    {"presence_penalty", &RequestReader::presence_penalty},
    {"prompt_cache_key", &RequestReader::keep},
    {"prompt_cache_retention", &RequestReader::keep},
    {"reasoning_effort", &RequestReader::reasoning_effort},
    {"repetition_penalty", &RequestReader::repetition_penalty},
    {"response_format", &RequestReader::response_format},
    {"safety_identifier", &RequestReader::keep},
    {"seed", &RequestReader::seed},
    {"service_tier", &RequestReader::service_tier},
    {"stop", &RequestReader::stop},
    {"store", &RequestReader::keep},
    {"stream", &RequestReader::stream},
    {"stream_options", &RequestReader::stream_options},
    {"temperature", &RequestReader::temperature},
    {"thinking_token_budget", &RequestReader::thinking_token_budget},
    {"tool_choice", &RequestReader::tool_choice},
    {"tools", &RequestReader::tools},
    {"top_k", &RequestReader::top_k},
    {"top_logprobs", &RequestReader::top_logprobs},
    {"top_p", &RequestReader::top_p},
    {"user", &RequestReader::user},
    {"verbosity", &RequestReader::keep},
    {"web_search_options", &RequestReader::web_search_options},
}};

// What only the whole request can tell.
Status RequestReader::check() {
    auto missing = [&](std::string_view key) {
        return json_.wrong(JsonPath{nullptr, key, -1}, "is missing");
    };
    if (request_.model.empty()) return missing("model");
    if (request_.messages.empty()) return missing("messages");
    if (max_tokens_) {
        if (request_.max_tokens && *request_.max_tokens != *max_tokens_)
            return json_.wrong(JsonPath{nullptr, "max_tokens", -1},
                               "says another number than max_completion_tokens: send one of them");
        request_.max_tokens = max_tokens_;
    }
    if (request_.top_logprobs > 0 && !request_.logprobs)
        return json_.wrong(JsonPath{nullptr, "top_logprobs", -1}, "needs logprobs: true");
    if (!request_.tool_choice.empty() && request_.tool_choice != "\"none\"" &&
        request_.tools.empty())
        return json_.wrong(JsonPath{nullptr, "tool_choice", -1}, "needs tools");
    return Done{};
}

Status RequestReader::stream_options(JsonValue value, const JsonPath& path) {
    return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
        JsonPath member_path{&path, key, -1};
        bool ignored = false;
        if (JsonReader::null(member)) return Done{};
        if (key == "include_usage")
            return json_.boolean(member, member_path, request_.include_usage);
        // Padding against traffic analysis: ours has none to leave out.
        if (key == "include_obfuscation") return json_.boolean(member, member_path, ignored);
        return unknown_key(json_, member_path, "stream_options");
    });
}

Status RequestReader::logit_bias(JsonValue value, const JsonPath& path) {
    return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
        JsonPath member_path{&path, key, -1};
        if (request_.logit_bias.size() == logit_bias_max)
            return json_.wrong(
                path, "expected at most " + std::to_string(logit_bias_max) + " tokens, got more");
        std::int32_t token = 0;
        auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), token);
        if (failed != std::errc() || end != key.data() + key.size() || token < 0)
            return json_.wrong(member_path, "expected a token id as the key");
        double bias = 0;
        Status status = json_.number(member, member_path, -100, 100, bias);
        request_.logit_bias.emplace_back(token, bias);
        return status;
    });
}

Status RequestReader::stop(JsonValue value, const JsonPath& path) {
    auto add = [&](JsonValue item, const JsonPath& where) -> Status {
        Status status = json_.text(item, where, request_.stop.emplace_back());
        if (status && request_.stop.back().empty()) return json_.wrong(where, "is empty");
        return status;
    };
    if (JsonReader::is(value, json_type::string)) return add(value, path);
    if (!JsonReader::is(value, json_type::array))
        return json_.wrong_type(value, path, "a string or a list of at most 4 strings");
    return json_.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
        if (index == 4) return json_.wrong(path, "expected at most 4 strings");
        return add(item, JsonPath{&path, {}, index});
    });
}

Status RequestReader::reasoning_effort(JsonValue value, const JsonPath& path) {
    Status status = json_.text(value, path, request_.reasoning_effort);
    if (!status) return status;
    for (const char* word : {"none", "minimal", "low", "medium", "high", "xhigh"})
        if (request_.reasoning_effort == word) return status;
    return json_.wrong(path, "expected none, minimal, low, medium, high or xhigh, got '" +
                                 request_.reasoning_effort + "'");
}

Status RequestReader::modalities(JsonValue value, const JsonPath& path) {
    return json_.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
        std::string word;
        Status status = json_.text(item, JsonPath{&path, {}, index}, word);
        if (status && word != "text") return refuse(path, "only text is served");
        return status;
    });
}

Status RequestReader::service_tier(JsonValue value, const JsonPath& path) {
    std::string word;
    Status status = json_.text(value, path, word);
    if (!status) return status;
    // The others have prices of their own, which the price book does not hold.
    if (word != "auto" && word != "default")
        return refuse(path, "expected auto or default, got '" + word + "'");
    request_.extra.emplace_back(path.key, "\"" + word + "\"");
    return status;
}

}  // namespace

Result<ChatRequest> OpenAiChat::read_request(std::string_view body) const {
    return RequestReader(body).read();
}

}  // namespace sluice
