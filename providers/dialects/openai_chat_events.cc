#include <algorithm>

#include "providers/dialects/openai_chat.h"
#include "providers/dialects/wire_error.h"
#include "providers/json_read.h"
#include "providers/local/reasoning.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

constexpr std::int64_t tokens_plausible_max = 1'000'000'000'000;

// A vendor's usage object as it stands: its fields overlap.
struct WireUsage {
    std::int64_t prompt = -1;
    std::int64_t completion = 0;
    std::int64_t total = 0;
    std::int64_t cached = 0;
    std::int64_t cache_write = 0;
    std::int64_t reasoning = 0;
};

// Disjoint counters that sum to what the vendor bills. A part larger than its whole is a vendor's
// mistake: it is cut to the whole, so that no counter is negative and no token is paid twice.
Usage disjoint(WireUsage wire) {
    Usage usage;
    wire.cached = std::min(wire.cached, wire.prompt);
    wire.cache_write = std::min(wire.cache_write, wire.prompt - wire.cached);
    usage.in_cache_read = wire.cached;
    usage.in_cache_write = wire.cache_write;
    usage.in_uncached = wire.prompt - wire.cached - wire.cache_write;
    // Some vendors count the thought beside the completion; their total tells.
    bool beside =
        wire.reasoning > 0 && wire.total == wire.prompt + wire.completion + wire.reasoning;
    if (!beside) wire.reasoning = std::min(wire.reasoning, wire.completion);
    usage.out_reasoning = wire.reasoning;
    usage.out_text = beside ? wire.completion : wire.completion - wire.reasoning;
    return usage;
}

Finish finish_of(std::string_view word) {
    if (word == "length") return Finish::length;
    if (word == "tool_calls" || word == "function_call") return Finish::tool_calls;
    if (word == "content_filter") return Finish::content_filter;
    return Finish::stop;  // "stop", Together's "eos", and whatever else a vendor calls its end
}

// Reads chunks and whole answers: a message and a delta have the same members.
class AnswerReader {
public:
    explicit AnswerReader(std::string_view text) : json_(text, Errc::upstream_failed) {}

    Delta delta;
    bool usage_seen = false;
    std::optional<WireError> error;

    Status read() {
        return json_.root([&](std::string_view key, JsonValue value) -> Status {
            JsonPath path{nullptr, key, -1};
            if (JsonReader::null(value)) return Done{};
            if (key == "id") return json_.text(value, path, delta.upstream_id);
            if (key == "model") return json_.text(value, path, delta.model);
            if (key == "choices") return read_choices(value, path);
            if (key == "usage") return read_usage(value, path);
            if (key == "error") return read_error(value, path);
            // A bare {"object":"error","message":...} is how vLLM says it.
            if (key == "message" && JsonReader::is(value, json_type::string)) {
                if (!error) error.emplace();
                return json_.text(value, path, error->message);
            }
            return Done{};
        });
    }

private:
    Status read_choices(JsonValue value, const JsonPath& path) {
        return json_.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
            if (index > 0) return Done{};  // one answer was asked
            return read_choice(item, JsonPath{&path, {}, index});
        });
    }

    Status read_choice(JsonValue value, const JsonPath& path) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (JsonReader::null(member)) return Done{};
            if (key == "delta" || key == "message") return read_message(member, member_path);
            if (key == "logprobs") return read_logprobs(member, member_path);
            if (key != "finish_reason") return Done{};
            std::string word;
            Status status = json_.text(member, member_path, word);
            if (word == "insufficient_system_resource")  // DeepSeek: cut for want of capacity
                error.emplace().message = "it ran out of capacity";
            if (!word.empty()) delta.finish = finish_of(word);
            return status;
        });
    }

    Status read_message(JsonValue value, const JsonPath& path) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (JsonReader::null(member)) return Done{};
            if (key == "content") return json_.text(member, member_path, delta.text);
            if (key == "refusal") return json_.text(member, member_path, delta.refusal);
            // Vendors that send both send the same twice.
            if (key == "reasoning_content" || key == "reasoning") {
                if (!delta.reasoning.empty() || !JsonReader::is(member, json_type::string))
                    return Done{};
                return json_.text(member, member_path, delta.reasoning);
            }
            if (key != "tool_calls") return Done{};
            return json_.items(member, member_path, [&](std::int64_t index, JsonValue item) {
                delta.tool_calls.emplace_back().index = static_cast<int>(index);
                return read_tool_call(item, JsonPath{&member_path, {}, index},
                                      delta.tool_calls.back());
            });
        });
    }

    Status read_tool_call(JsonValue value, const JsonPath& path, ToolCallDelta& call) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (JsonReader::null(member)) return Done{};
            if (key == "id") return json_.text(member, member_path, call.id);
            if (key == "index") {
                std::int64_t index = 0;
                Status status = json_.integer(member, member_path, 0, 1023, index);
                call.index = static_cast<int>(index);
                return status;
            }
            if (key != "function") return Done{};
            auto read = [&](std::string_view name, JsonValue text) -> Status {
                JsonPath text_path{&member_path, name, -1};
                if (JsonReader::null(text)) return Done{};
                if (name == "name") return json_.text(text, text_path, call.name);
                if (name != "arguments") return Done{};
                // Some vendors send the arguments as the object itself.
                if (JsonReader::is(text, json_type::object)) return json_.raw(text, call.arguments);
                return json_.text(text, text_path, call.arguments);
            };
            return json_.members(member, member_path, read);
        });
    }

    Status read_logprobs(JsonValue value, const JsonPath& path) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (key != "content" || JsonReader::null(member)) return Done{};
            return json_.items(member, member_path, [&](std::int64_t index, JsonValue item) {
                return read_logprob(item, JsonPath{&member_path, {}, index},
                                    delta.logprobs.emplace_back(), true);
            });
        });
    }

    Status read_logprob(JsonValue value, const JsonPath& path, LogprobEntry& entry, bool with_top) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (JsonReader::null(member)) return Done{};
            if (key == "token") return json_.text(member, member_path, entry.token);
            if (key == "logprob")
                return json_.number(member, member_path, -1e300, 1e300, entry.logprob);
            if (key == "bytes") return read_bytes(member, member_path, entry.bytes);
            if (key != "top_logprobs" || !with_top) return Done{};
            return json_.items(member, member_path, [&](std::int64_t index, JsonValue item) {
                return read_logprob(item, JsonPath{&member_path, {}, index},
                                    entry.top.emplace_back(), false);
            });
        });
    }

    Status read_bytes(JsonValue value, const JsonPath& path, std::string& bytes) {
        return json_.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
            std::int64_t byte = 0;
            Status status = json_.integer(item, JsonPath{&path, {}, index}, 0, 255, byte);
            bytes += static_cast<char>(byte);
            return status;
        });
    }

    // A count that is no plausible number makes the usage unknown, not the answer worthless.
    Status read_usage(JsonValue value, const JsonPath& path) {
        WireUsage wire;
        bool plausible = true;
        auto count = [&](JsonValue member, std::int64_t& out) -> Status {
            if (JsonReader::null(member)) return Done{};
            std::int64_t tokens = 0;
            if (member.get_int64().get(tokens) || tokens < 0 || tokens > tokens_plausible_max)
                plausible = false;
            else
                out = tokens;
            return Done{};
        };
        auto details = [&](std::string_view key, JsonValue member) -> Status {
            if (key == "cached_tokens") return count(member, wire.cached);
            if (key == "cache_write_tokens") return count(member, wire.cache_write);
            if (key == "reasoning_tokens") return count(member, wire.reasoning);
            return Done{};
        };
        auto field = [&](std::string_view key, JsonValue member) -> Status {
            if (key == "prompt_tokens") return count(member, wire.prompt);
            if (key == "completion_tokens") return count(member, wire.completion);
            if (key == "total_tokens") return count(member, wire.total);
            if (key == "prompt_cache_hit_tokens") return count(member, wire.cached);  // DeepSeek
            bool holds_details =
                key == "prompt_tokens_details" || key == "completion_tokens_details";
            if (holds_details && JsonReader::is(member, json_type::object))
                return json_.members(member, JsonPath{&path, key, -1}, details);
            return details(key, member);
        };
        Status status = json_.members(value, path, field);
        if (!status) return status;
        usage_seen = plausible && wire.prompt >= 0;
        if (usage_seen) delta.usage = disjoint(wire);
        return status;
    }

    Status read_error(JsonValue value, const JsonPath& path) {
        error.emplace();
        if (JsonReader::is(value, json_type::string))
            return json_.text(value, path, error->message);
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (JsonReader::is(member, json_type::number) && key == "code") {
                return json_.raw(member, error->code);
            }
            if (!JsonReader::is(member, json_type::string)) return Done{};
            if (key == "message") return json_.text(member, member_path, error->message);
            if (key == "type") return json_.text(member, member_path, error->type);
            if (key == "param") return json_.text(member, member_path, error->param);
            if (key == "code") return json_.text(member, member_path, error->code);
            return Done{};
        });
    }

    JsonReader json_;
};

ReasoningSplitter splitter_for(const Upstream& upstream) {
    using Start = ReasoningSplitter::Start;
    return ReasoningSplitter(upstream.vendor.inline_think ? Start::detect : Start::off);
}

// Moves the thought that came inside the content to where thoughts belong.
void split_content(ReasoningSplitter& splitter, Delta& delta) {
    // A vendor that has a field for the thought keeps it out of the content.
    if (!delta.reasoning.empty()) splitter = ReasoningSplitter(ReasoningSplitter::Start::off);
    if (delta.text.empty()) return;
    ReasoningSplitter::Split split;
    splitter.push(delta.text, split);
    delta.text = std::move(split.text);
    delta.reasoning += split.reasoning;
}

void finish_content(ReasoningSplitter& splitter, Delta& delta) {
    ReasoningSplitter::Split split;
    splitter.finish(split);
    delta.text += split.text;
    delta.reasoning += split.reasoning;
}

class ChunkReader final : public EventReader {
public:
    explicit ChunkReader(const Upstream& upstream)
        : splits_(upstream.vendor.inline_think), splitter_(splitter_for(upstream)) {}

    Status read(const SseEvent& event, std::vector<Delta>& deltas) override {
        if (ended_) return Done{};
        if (event.data == "[DONE]") return end(deltas);
        AnswerReader chunk(event.data);
        Status status = chunk.read();
        if (!status) return malformed_answer(status.error());
        if (chunk.error) return failure_inside(*chunk.error);
        if (chunk.usage_seen) {
            usage_ = chunk.delta.usage;  // cumulative where it comes more than once
            usage_seen_ = true;
        }
        Delta& delta = chunk.delta;
        if (delta.finish != Finish::none) finish_ = delta.finish;
        delta.finish = Finish::none;
        delta.usage = usage_;
        if (splits_) split_content(splitter_, delta);
        if (begun_ && !delta.has_answer()) return Done{};
        if (begun_) {
            delta.model.clear();
            delta.upstream_id.clear();
        }
        begun_ = true;
        deltas.push_back(std::move(delta));
        return Done{};
    }

    Status finish(std::vector<Delta>& deltas) override {
        if (ended_) return Done{};
        if (finish_ != Finish::none) return end(deltas);
        return Error(Errc::upstream_failed, begun_ ? "the upstream's stream was cut off"
                                                   : "the upstream's stream was empty");
    }

private:
    Status end(std::vector<Delta>& deltas) {
        if (finish_ == Finish::none)
            return Error(Errc::upstream_failed, "the upstream's stream ended without a reason");
        ended_ = true;
        Delta last;
        last.last = true;
        last.finish = finish_;
        last.usage = usage_;
        last.usage_missing = !usage_seen_;
        if (splits_) finish_content(splitter_, last);
        deltas.push_back(std::move(last));
        return Done{};
    }

    bool splits_;
    ReasoningSplitter splitter_;
    Usage usage_;
    bool usage_seen_ = false;
    Finish finish_ = Finish::none;
    bool begun_ = false;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<EventReader> OpenAiChat::event_reader(const Upstream& upstream) const {
    return std::make_unique<ChunkReader>(upstream);
}

Result<Delta> OpenAiChat::read_answer(std::string_view body, const Upstream& upstream) const {
    AnswerReader answer(body);
    Status status = answer.read();
    if (!status) return malformed_answer(status.error());
    if (answer.error) return failure_inside(*answer.error);
    Delta& delta = answer.delta;
    if (delta.finish == Finish::none)
        return Error(Errc::upstream_failed, "the upstream's answer has no finish_reason");
    ReasoningSplitter splitter = splitter_for(upstream);
    split_content(splitter, delta);
    finish_content(splitter, delta);
    delta.last = true;
    delta.usage_missing = !answer.usage_seen;
    return std::move(delta);
}

Error OpenAiChat::read_error(int status, std::string_view body) const {
    AnswerReader answer(body);
    bool readable = answer.read().has_value() && answer.error;
    return refusal(status, readable ? *answer.error : WireError());
}

}  // namespace sluice
