// A documented subset of JSON Schema, for checking answers. Written as YAML in a golden file and
// read with its faults by place; a keyword that is not of the subset is a fault, since a check that
// is silently left out would call wrong answers right.
//
// Keywords: type (one or a list), properties, required, additionalProperties (true or false),
// items, enum and const (of texts, numbers, true, false, null), minimum, maximum, minLength,
// maxLength (code points), minItems, maxItems, pattern (pattern.h); title and description say
// nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policies/golden/pattern.h"
#include "providers/yaml_cursor.h"

namespace sluice {

using JsonScalar = std::variant<std::nullptr_t, bool, double, std::string>;

struct JsonShape {
    std::vector<std::string> types;  // empty: any
    std::map<std::string, JsonShape, std::less<>> properties;
    std::vector<std::string> required;
    bool others_allowed = true;        // properties that are not named
    std::shared_ptr<JsonShape> items;  // none: any
    std::optional<std::vector<JsonScalar>> one_of;
    std::optional<double> minimum, maximum;
    std::optional<std::int64_t> length_min, length_max, items_min, items_max;
    std::optional<Pattern> pattern;
    std::vector<JsonShape> any_of;  // at least one of them holds, too; empty: none is asked for
    // A definition of the root's that holds, too ("#" is the root itself); "" = none.
    std::string definition;
    std::map<std::string, JsonShape, std::less<>> definitions;  // of the root only
};

JsonShape read_json_shape(Cursor& at);

// Why `text` is not JSON of this shape ("$.age: expected integer, got string"), or "". White space
// and one Markdown code fence around it are taken off. What takes too many steps is a fault.
std::string json_shape_fault(const JsonShape& shape, std::string_view text);

// Likewise, with whether the whole shape was looked at: definitions and alternatives can multiply,
// so the steps are bounded (one for each value, alternative, field, item, required name and value
// of an enum that is looked at, and for 64 bytes of a text), and so is how deep they go. A fault
// that was found is one in any case. The most steps take about a millisecond.
constexpr std::int64_t json_steps_max = 20'000;
struct JsonVerdict {
    std::string fault;
    bool whole = true;
};
JsonVerdict judge_json(const JsonShape& shape, std::string_view text,
                       std::int64_t steps_max = json_steps_max);

}  // namespace sluice
