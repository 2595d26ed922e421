// How the simulator answers one call: lengths, pace and faults, as directives set them.
// A directive is "key=value" pairs and words, separated by spaces or commas:
//   tokens=100 reasoning_tokens=40 first_token_ms=50 inter_token_ms=0.5 input_tokens=1000
//   cached_tokens=200 cache_write_tokens=10 tool=NAME json no_usage
//   fault=429 retry_after=1   fault=reset   fault=stall   fault=malformed   fault=wrong_type
//   reset_after=N close_after=N stall_after=N malformed_after=N error_after=N   (after N tokens)
// The *_after faults may also be written fault=reset_after:N. It comes from the flags, from a queue
// filled by POST /sim/faults, from the header x-sim, and from [[sim ...]] in the last user message;
// later ones win.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice::sim {

enum class Cut { none, reset, close, stall, malformed, error };

struct Behaviour {
    double first_token_ms = 0;
    double inter_token_ms = 0;
    std::int64_t tokens = 48;                      // of text, before the call's own maximum
    std::optional<std::int64_t> reasoning_tokens;  // unset: 32 for models named reasoner or think
    std::optional<std::int64_t> input_tokens;      // unset: counted
    std::int64_t cached_tokens = 0;                // of the input, read from a cache
    std::int64_t cache_write_tokens = 0;           // of the input, written to it
    std::string tool;                              // answers with a call of this tool
    bool json = false;                             // answers with a JSON object
    int status = 0;                                // refuses with this status
    double retry_after_s = -1;                     // of a refusal; < 0 = no such header
    Cut cut = Cut::none;                           // what breaks the answer,
    std::int64_t cut_after = -1;                   // after so many tokens; < 0 = before its head
    bool wrong_type = false;                       // answers text/html
    bool no_usage = false;
};

// Errors: invalid_request, naming the part that is not understood.
Status apply_directive(Behaviour& behaviour, std::string_view directive);

// The inside of the last [[sim ...]] in `text`, or "".
std::string_view find_directive(std::string_view text);

}  // namespace sluice::sim
