// The methods of strings and mappings that chat templates call: text.split(','), tool.items().
// Pure; limits and failures by Context.
#pragma once

#include <string_view>

#include "providers/local/jinja_context.h"

namespace sluice::jinja {

bool has_method(const Value& receiver, std::string_view name);
Value call_method(Context& context, const Value& receiver, std::string_view name,
                  const Arguments& arguments);

// Shared with the filters of the same name.
Value replaced(Context& context, const Text& text, std::string_view old, const Text& fresh,
               std::int64_t count);
enum class LetterCase { upper, lower, capital, title };
Value with_case(Context& context, const Text& text, LetterCase letter_case);  // ASCII letters only
std::vector<Value> entries_of(Context& context, const Mapping& mapping);      // [key, value] each

}  // namespace sluice::jinja
