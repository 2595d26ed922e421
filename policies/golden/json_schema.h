// A JSON Schema as a request's response_format brings it, read into a JsonShape (json_shape.h).
//
// Understood: type, properties, required, additionalProperties (true or false), items, enum and
// const (of texts, numbers, true, false, null), minimum, maximum, minLength, maxLength, minItems,
// maxItems, anyOf, and $ref to "#", "#/$defs/NAME" or "#/definitions/NAME". What only describes is
// passed over: title, description, default, examples, format and the like. Anything else (oneOf,
// allOf, not, pattern, a schema as additionalProperties, ...) is left out and named: all keywords
// of a schema hold at once, so a fault that is found without it is a fault with it, and only that
// there is none cannot be said any more.
//
// Pure. At most schema_bytes_max, schemas_max schemas within each other, 32 deep.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/result.h"
#include "policies/golden/json_shape.h"

namespace sluice {

constexpr std::size_t schema_bytes_max = 64U << 10;
constexpr int schemas_max = 2'000;

struct JsonSchema {
    JsonShape shape;
    std::string left_out;  // "$.properties.age: 'pattern' is not understood"; "" = nothing
};

// Errors: invalid_request, saying what of it is no schema.
Result<JsonSchema> read_json_schema(std::string_view json);

// Whether an answer keeps to what its request asked for: response_format as ChatRequest has it,
// {"type":"json_object"} or {"type":"json_schema","json_schema":{"schema":{...}}}. Nothing where
// that cannot be said. `why`, where given, becomes the fault, or why nothing can be said.
std::optional<bool> keeps_format(std::string_view response_format, std::string_view answer,
                                 std::string* why = nullptr);

}  // namespace sluice
