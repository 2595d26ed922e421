// What both wires' requests share: model, stream, messages with text parts.
#pragma once

#include <simdjson.h>

#include "benchmarks/upstream_sim/wire.h"
#include "engine/result.h"

namespace sluice::sim {

// Adds the text of a string, or of the text parts of a list, to `text`.
void add_text(simdjson::dom::element content, std::string& text);
// Tokens as the simulator counts them: exact by definition.
std::int64_t count_tokens(std::string_view text);
Result<Call> read_call(simdjson::dom::object root);

}  // namespace sluice::sim
