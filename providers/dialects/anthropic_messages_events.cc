#include <algorithm>
#include <map>
#include <utility>

#include "providers/dialects/anthropic_messages.h"
#include "providers/dialects/wire_error.h"
#include "providers/json_read.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

constexpr std::int64_t tokens_plausible_max = 1'000'000'000'000;

// A usage object: input_tokens excludes what was read from and written to the cache. Each event has
// the sums so far and may leave fields out, so that a field is assigned where it is there.
struct WireUsage {
    std::int64_t input = -1;
    std::int64_t output = 0;
    std::int64_t cache_read = 0;
    std::int64_t cache_write = 0;  // for both times
    std::int64_t cache_write_1h = 0;
    std::int64_t thinking = 0;
    bool plausible = true;
    bool output_seen = false;  // behind the answer: a stream's first event has a preliminary one
    bool missing() const { return !plausible || input < 0 || !output_seen; }

    Usage disjoint() const {
        Usage usage;
        usage.in_uncached = std::max<std::int64_t>(input, 0);
        usage.in_cache_read = cache_read;
        usage.in_cache_write_1h = std::min(cache_write_1h, cache_write);
        usage.in_cache_write = cache_write - usage.in_cache_write_1h;
        usage.out_reasoning = std::min(thinking, output);
        usage.out_text = output - usage.out_reasoning;
        return usage;
    }
};

// A content block, or a piece of one: the wire's names do not collide.
struct WireBlock {
    std::string type;
    std::string text;  // of text, thinking or partial_json, by type
    std::string signature;
    std::string id;
    std::string name;
    std::string input;  // raw JSON
    std::string data;   // of redacted_thinking
};

// One event or one whole message: they share their members too.
struct WireEvent {
    std::string type;
    std::int64_t index = 0;
    std::string id;
    std::string model;
    WireBlock block;                 // content_block or delta
    std::vector<WireBlock> content;  // of a whole message
    std::string stop_reason;
    std::string stop_sequence;
    std::optional<WireError> error;
};

class EventText {
public:
    EventText(std::string_view text, WireUsage& usage)
        : json_(text, Errc::upstream_failed), usage_(usage) {}

    Status read(WireEvent& event) {
        return json_.root([&](std::string_view key, JsonValue value) -> Status {
            return read_member(key, value, JsonPath{nullptr, key, -1}, event);
        });
    }

private:
    Status read_member(std::string_view key, JsonValue value, const JsonPath& path,
                       WireEvent& event) {
        if (JsonReader::null(value)) return Done{};
        if (key == "type") return json_.text(value, path, event.type);
        if (key == "index") return json_.integer(value, path, 0, 100'000, event.index);
        if (key == "id") return json_.text(value, path, event.id);
        if (key == "model") return json_.text(value, path, event.model);
        if (key == "stop_reason") return json_.text(value, path, event.stop_reason);
        if (key == "stop_sequence") return json_.text(value, path, event.stop_sequence);
        if (key == "usage") return read_usage(value, path);
        if (key == "content_block") return read_block(value, path, event.block);
        if (key == "delta") return read_delta(value, path, event);
        if (key == "error") return read_error(value, path, event.error.emplace());
        if (key == "message") {
            return json_.members(value, path, [&](std::string_view name, JsonValue member) {
                // "type":"message" inside must not hide the event's own.
                if (name == "type") return Status(Done{});
                return read_member(name, member, JsonPath{&path, name, -1}, event);
            });
        }
        if (key != "content") return Done{};
        return json_.items(value, path, [&](std::int64_t index, JsonValue item) {
            return read_block(item, JsonPath{&path, {}, index}, event.content.emplace_back());
        });
    }

    Status read_delta(JsonValue value, const JsonPath& path, WireEvent& event) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (JsonReader::null(member)) return Done{};
            if (key == "stop_reason") return json_.text(member, member_path, event.stop_reason);
            if (key == "stop_sequence") return json_.text(member, member_path, event.stop_sequence);
            return read_block_member(key, member, member_path, event.block);
        });
    }

    Status read_block(JsonValue value, const JsonPath& path, WireBlock& block) {
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            if (JsonReader::null(member)) return Done{};
            return read_block_member(key, member, JsonPath{&path, key, -1}, block);
        });
    }

    Status read_block_member(std::string_view key, JsonValue value, const JsonPath& path,
                             WireBlock& block) {
        if (key == "type") return json_.text(value, path, block.type);
        if (key == "text" || key == "thinking" || key == "partial_json")
            return json_.text(value, path, block.text);
        if (key == "signature") return json_.text(value, path, block.signature);
        if (key == "id") return json_.text(value, path, block.id);
        if (key == "name") return json_.text(value, path, block.name);
        if (key == "data" && JsonReader::is(value, json_type::string))
            return json_.text(value, path, block.data);
        if (key != "input") return Done{};
        block.input.clear();
        return json_.raw(value, block.input);
    }

    Status read_usage(JsonValue value, const JsonPath& path) {
        auto count = [&](JsonValue member, std::int64_t& out) -> Status {
            std::int64_t tokens = 0;
            if (JsonReader::null(member)) return Done{};
            if (member.get_int64().get(tokens) || tokens < 0 || tokens > tokens_plausible_max)
                usage_.plausible = false;
            else
                out = tokens;
            return Done{};
        };
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            if (key == "input_tokens") return count(member, usage_.input);
            if (key == "output_tokens") {
                usage_.output_seen = true;
                return count(member, usage_.output);
            }
            if (key == "cache_read_input_tokens") return count(member, usage_.cache_read);
            if (key == "cache_creation_input_tokens") return count(member, usage_.cache_write);
            bool details = key == "cache_creation" || key == "output_tokens_details";
            if (!details || !JsonReader::is(member, json_type::object)) return Done{};
            return json_.members(member, JsonPath{&path, key, -1},
                                 [&](std::string_view name, JsonValue inner) -> Status {
                                     if (name == "ephemeral_1h_input_tokens")
                                         return count(inner, usage_.cache_write_1h);
                                     if (name == "thinking_tokens")
                                         return count(inner, usage_.thinking);
                                     return Done{};
                                 });
        });
    }

    Status read_error(JsonValue value, const JsonPath& path, WireError& error) {
        if (JsonReader::is(value, json_type::string)) return json_.text(value, path, error.message);
        return json_.members(value, path, [&](std::string_view key, JsonValue member) -> Status {
            JsonPath member_path{&path, key, -1};
            if (!JsonReader::is(member, json_type::string)) return Done{};
            if (key == "type") return json_.text(member, member_path, error.type);
            if (key == "message") return json_.text(member, member_path, error.message);
            return Done{};
        });
    }

    JsonReader json_;
    WireUsage& usage_;
};

Finish finish_of(std::string_view reason) {
    if (reason == "max_tokens" || reason == "model_context_window_exceeded") return Finish::length;
    if (reason == "tool_use") return Finish::tool_calls;
    if (reason == "refusal") return Finish::content_filter;
    return Finish::stop;  // end_turn, stop_sequence, pause_turn
}

class MessageReader final : public EventReader {
public:
    Status read(const SseEvent& event, std::vector<Delta>& deltas) override {
        if (ended_) return Done{};
        WireEvent wire;
        Status status = EventText(event.data, usage_).read(wire);
        if (!status) return malformed_answer(status.error());
        if (wire.error) return failure_inside(*wire.error);
        Delta delta;
        delta.usage = usage_.disjoint();
        if (wire.type == "message_start") {
            begun_ = true;
            usage_.output_seen = false;
            delta.model = wire.model;
            delta.upstream_id = wire.id;
            deltas.push_back(std::move(delta));
        } else if (wire.type == "content_block_start") {
            start_block(wire, delta, deltas);
        } else if (wire.type == "content_block_delta") {
            continue_block(wire, delta, deltas);
        } else if (wire.type == "content_block_stop") {
            stop_block(wire.index, delta, deltas);
        } else if (wire.type == "message_delta") {
            if (!wire.stop_reason.empty()) stop_reason_ = wire.stop_reason;
            if (!wire.stop_sequence.empty()) stop_sequence_ = wire.stop_sequence;
        } else if (wire.type == "message_stop") {
            return end(deltas);
        }
        return Done{};  // pings and events not known yet say nothing
    }

    Status finish(std::vector<Delta>& deltas) override {
        if (ended_) return Done{};
        if (!stop_reason_.empty()) return end(deltas);
        return Error(Errc::upstream_failed, begun_ ? "the upstream's stream was cut off"
                                                   : "the upstream's stream was empty");
    }

private:
    struct ToolBlock {
        int number = 0;  // among the tool calls of the answer
        bool has_input = false;
    };

    void start_block(WireEvent& wire, Delta& delta, std::vector<Delta>& deltas) {
        if (wire.block.type == "tool_use") {
            ToolBlock& tool = tools_[wire.index];
            tool.number = static_cast<int>(tools_.size()) - 1;
            bool whole = !wire.block.input.empty() && wire.block.input != "{}";
            tool.has_input = whole;
            delta.tool_calls.push_back(ToolCallDelta{tool.number, std::move(wire.block.id),
                                                     std::move(wire.block.name),
                                                     whole ? wire.block.input : ""});
        } else if (wire.block.type == "text") {
            delta.text = std::move(wire.block.text);
        } else if (wire.block.type == "thinking") {
            if (std::exchange(in_thought_, true)) delta.thought_ends.emplace_back();
            delta.reasoning = std::move(wire.block.text);
            end_thought(wire.block, delta);
        } else if (wire.block.type == "redacted_thinking") {
            in_thought_ = false;
            delta.thought_ends.push_back({0, "", std::move(wire.block.data)});
        }
        if (delta.has_answer() || !delta.thought_ends.empty()) deltas.push_back(std::move(delta));
    }

    void continue_block(WireEvent& wire, Delta& delta, std::vector<Delta>& deltas) {
        if (wire.block.type == "text_delta") {
            delta.text = std::move(wire.block.text);
        } else if (wire.block.type == "thinking_delta") {
            delta.reasoning = std::move(wire.block.text);
        } else if (wire.block.type == "signature_delta") {
            end_thought(wire.block, delta);
        } else if (wire.block.type == "input_json_delta") {
            auto tool = tools_.find(wire.index);
            if (tool == tools_.end() || wire.block.text.empty()) return;
            tool->second.has_input = true;
            delta.tool_calls.push_back(
                ToolCallDelta{tool->second.number, "", "", std::move(wire.block.text)});
        }
        if (delta.has_answer() || !delta.thought_ends.empty()) deltas.push_back(std::move(delta));
    }

    // A signature is a thought's last piece. A thought without one ends where the next begins.
    void end_thought(WireBlock& block, Delta& delta) {
        if (block.signature.empty()) return;
        in_thought_ = false;
        delta.thought_ends.push_back({delta.reasoning.size(), std::move(block.signature), ""});
    }

    // A call without arguments streams none; OpenAI's clients expect an object.
    void stop_block(std::int64_t index, Delta& delta, std::vector<Delta>& deltas) {
        auto tool = tools_.find(index);
        if (tool == tools_.end() || tool->second.has_input) return;
        tool->second.has_input = true;
        delta.tool_calls.push_back(ToolCallDelta{tool->second.number, "", "", "{}"});
        deltas.push_back(std::move(delta));
    }

    Status end(std::vector<Delta>& deltas) {
        if (stop_reason_.empty())
            return Error(Errc::upstream_failed, "the upstream's stream ended without a reason");
        ended_ = true;
        Delta last;
        last.last = true;
        last.finish = finish_of(stop_reason_);
        last.stop_sequence = stop_sequence_;
        last.usage_missing = usage_.missing();
        if (!last.usage_missing) last.usage = usage_.disjoint();
        deltas.push_back(std::move(last));
        return Done{};
    }

    WireUsage usage_;
    std::map<std::int64_t, ToolBlock> tools_;  // by block index; bounded by the stream's own bytes
    std::string stop_reason_;
    std::string stop_sequence_;
    bool in_thought_ = false;  // one that has no end yet
    bool begun_ = false;
    bool ended_ = false;
};

}  // namespace

std::unique_ptr<EventReader> AnthropicMessages::event_reader(const Upstream&) const {
    return std::make_unique<MessageReader>();
}

Result<Delta> AnthropicMessages::read_answer(std::string_view body, const Upstream&) const {
    WireUsage usage;
    WireEvent wire;
    Status status = EventText(body, usage).read(wire);
    if (!status) return malformed_answer(status.error());
    if (wire.error) return failure_inside(*wire.error);
    if (wire.stop_reason.empty())
        return Error(Errc::upstream_failed, "the upstream's answer has no stop_reason");
    Delta delta;
    for (WireBlock& block : wire.content) {
        if (block.type == "text") delta.text += block.text;
        if (block.type == "thinking" || block.type == "redacted_thinking")
            add_thought(delta.reasoning, delta.thought_ends,
                        {block.text, block.signature, block.data});
        if (block.type == "tool_use")
            delta.tool_calls.push_back(ToolCallDelta{static_cast<int>(delta.tool_calls.size()),
                                                     block.id, block.name, block.input});
    }
    delta.finish = finish_of(wire.stop_reason);
    delta.stop_sequence = wire.stop_sequence;
    delta.model = wire.model;
    delta.upstream_id = wire.id;
    delta.last = true;
    delta.usage_missing = usage.missing();
    if (!delta.usage_missing) delta.usage = usage.disjoint();
    return delta;
}

Error AnthropicMessages::read_error(int status, std::string_view body) const {
    WireUsage usage;
    WireEvent wire;
    bool readable = EventText(body, usage).read(wire).has_value() && wire.error;
    return refusal(status, readable ? *wire.error : WireError());
}

}  // namespace sluice
