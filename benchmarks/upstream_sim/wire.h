// The two vendors' wire formats as the simulator speaks them: what a call asks, and the bytes of
// an answer, whole and streamed, after the vendors' API references:
//   platform.openai.com/docs/api-reference/chat, api-docs.deepseek.com (reasoning_content),
//   docs.anthropic.com/en/api/messages and .../messages-streaming
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "benchmarks/upstream_sim/behaviour.h"
#include "engine/result.h"

namespace sluice::sim {

// What a call asks, as far as the simulator cares.
struct Call {
    std::string model;
    bool stream = false;
    bool include_usage = false;
    std::int64_t input_tokens = 0;  // a quarter of the bytes of all text, and 4 a message
    std::optional<std::int64_t> max_tokens;
    std::string last_user_text;
};

enum class Kind { reasoning, text, tool };

// The answer planned in full before its first byte goes out: one piece a token.
struct Answer {
    std::string id;  // without the vendor's prefix
    std::int64_t created = 0;
    std::string model;
    std::vector<std::pair<Kind, std::string>> pieces;
    std::string tool;        // the name, when it calls one
    bool cut_short = false;  // max_tokens was reached
    bool usage = true;       // tells its counters
    bool stream_usage = false;
    std::int64_t in_total = 0, in_cached = 0, in_cache_write = 0;
    std::int64_t out_reasoning = 0, out_total = 0;

    std::string all(Kind kind) const;
};

Answer plan_answer(const Call& call, const Behaviour& behaviour, std::uint64_t number);

class Wire {
public:
    virtual ~Wire() = default;
    // Errors: invalid_request, in the words of a vendor.
    virtual Result<Call> read(std::string_view body) const = 0;
    virtual std::string whole(const Answer& answer) const = 0;
    // The stream's events: before the first piece, each piece, after the last.
    virtual std::string open(const Answer& answer) const = 0;
    virtual std::string piece(const Answer& answer, std::size_t index) const = 0;
    virtual std::string close(const Answer& answer) const = 0;
    virtual std::string refusal(int status, std::string_view message) const = 0;
    virtual std::string error_event() const = 0;      // in a stream
    virtual std::string malformed_event() const = 0;  // in a stream
};

const Wire& openai_wire();
const Wire& anthropic_wire();

}  // namespace sluice::sim
