// The neutral nouns of a call. Every dialect reads into these and writes out of these.
// Plain values; strings are UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "providers/usage.h"

namespace sluice {

enum class Role { system, developer, user, assistant, tool };

// One piece of a message's content that is not plain text, kept in OpenAI chat form as raw JSON
// (an image_url, input_audio or file part), or a text part (then `text` is set and `json` empty).
struct Part {
    enum class Kind { text, image, audio, file };
    Kind kind = Kind::text;
    std::string text;
    std::string json;           // for the others: the whole part object, OpenAI chat form
    std::string cache_control;  // raw JSON, Anthropic's; "" if none
};

struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON text as the model wrote it
};

// Where one of the thoughts ends that `reasoning` is made of, for vendors who have them in blocks.
struct ThoughtEnd {
    std::size_t at = 0;     // bytes of `reasoning` before it
    std::string signature;  // Anthropic's: proves this thought, and no other, on the way back
    std::string sealed;     // a thought that follows here and only the vendor can read
};

struct Message {
    Role role = Role::user;
    std::vector<Part> parts;  // mostly one text part
    std::string name;
    std::string refusal;
    std::string reasoning;  // an assistant turn's earlier thought, where the client sends it back
    std::vector<ThoughtEnd> thought_ends;  // ascending
    std::vector<ToolCall> tool_calls;      // assistant
    std::string tool_call_id;              // tool
    bool tool_error = false;               // tool: the result is an error (Anthropic's is_error)

    std::string text() const;  // all text parts, joined by nothing
};

struct Tool {
    std::string name;
    std::string description;
    std::string parameters;  // JSON schema, raw
    std::optional<bool> strict;
    std::string cache_control;  // raw JSON; "" if none
};

struct ChatRequest {
    std::string model;
    std::vector<Message> messages;
    bool stream = false;
    bool include_usage = false;  // the client asked for usage in its stream
    std::optional<std::int64_t> max_tokens;
    std::optional<double> temperature;
    std::optional<double> top_p;
    std::optional<std::int64_t> top_k;
    std::optional<double> min_p;
    std::optional<double> presence_penalty;
    std::optional<double> frequency_penalty;
    std::optional<double> repetition_penalty;
    std::vector<std::pair<std::int32_t, double>> logit_bias;
    std::optional<std::int64_t> seed;
    std::vector<std::string> stop;
    bool logprobs = false;
    int top_logprobs = 0;
    std::vector<Tool> tools;
    std::string tool_choice;  // raw JSON: "auto", "none", "required", or an object; "" unset
    std::optional<bool> parallel_tool_calls;
    std::string response_format;   // raw JSON object; "" unset
    std::string reasoning_effort;  // "none", "minimal".."xhigh"; "" unset
    // The most tokens the model may think; 0 = not at all. The local tier obeys it; hosted
    // upstreams get it only in `extra`, as their own dialect's client wrote it.
    std::optional<std::int64_t> thinking_tokens_max;
    std::string user;
    // Harmless parameters kept for upstreams that speak the same dialect: name, raw JSON value.
    std::vector<std::pair<std::string, std::string>> extra;

    bool has(Part::Kind kind) const;
    bool wants_json_schema() const;  // response_format is json_schema or json_object
};

struct ToolCallDelta {
    int index = 0;
    std::string id;    // in the first fragment only
    std::string name;  // in the first fragment only
    std::string arguments;
};

struct LogprobEntry {
    std::string token;  // text, U+FFFD where the bytes are part of a character
    std::string bytes;
    double logprob = 0;
    std::vector<LogprobEntry> top;
};

enum class Finish { none, stop, length, tool_calls, content_filter };

// A piece of an answer. A whole answer is one Delta with .last set. Text fields are what is new.
struct Delta {
    std::string text;
    std::string reasoning;
    std::vector<ThoughtEnd> thought_ends;  // counted in this Delta's reasoning; ascending
    std::string refusal;
    std::vector<ToolCallDelta> tool_calls;
    std::vector<LogprobEntry> logprobs;
    Finish finish = Finish::none;
    std::string stop_sequence;   // which one ended it, where known
    std::string model;           // as the upstream names it; first Delta
    std::string upstream_id;     // the upstream's id of the answer; first Delta
    bool last = false;           // the answer is complete
    bool usage_missing = false;  // on the last one: the vendor gave no usage
    Usage usage;                 // on the last one; cumulative so far before (assign, never add)
    bool has_answer() const {
        return !text.empty() || !reasoning.empty() || !refusal.empty() || !tool_calls.empty() ||
               last;
    }
};

// One block of thought: its words and its proof, or what is sealed in it.
struct Thought {
    std::string_view text;
    std::string_view signature;
    std::string_view sealed;
};
// The blocks of a whole reasoning, as views into it. Words after the last end are one without
// proof.
std::vector<Thought> thoughts_of(std::string_view reasoning, const std::vector<ThoughtEnd>& ends);
// Appends a block, ending the one before it.
void add_thought(std::string& reasoning, std::vector<ThoughtEnd>& ends, const Thought& thought);

}  // namespace sluice
