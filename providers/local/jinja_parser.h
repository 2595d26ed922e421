// Lexemes to a parsed template, by Jinja's grammar as far as chat templates use it. Everything that
// is not supported (imports, inheritance, call blocks, unknown filters and tests) is refused here,
// with its line and column, and not when a request is rendered. Pure; any thread.
#pragma once

#include <string_view>

#include "engine/result.h"
#include "providers/local/jinja_ast.h"

namespace sluice::jinja {

// Nesting of expressions and statements together.
constexpr int nesting_max = 100;

Result<Body> parse(std::string_view source);

}  // namespace sluice::jinja
