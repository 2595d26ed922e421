// Runs a parsed template over a conversation. One Renderer a rendering, one thread; everything it
// makes dies with it. Limits and failures by Context.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "providers/local/jinja_ast.h"
#include "providers/local/jinja_context.h"

namespace sluice::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

constexpr int evaluation_depth_max = 400;  // expressions, statements and macro calls on the stack

// The Errc is bad_file when the template is at fault, invalid_request when it refuses the
// conversation by raise_exception. `now_unix_s` is what strftime_now tells, in UTC.
Result<Text> render(const Body& body, Variables variables, std::uint64_t budget,
                    std::int64_t now_unix_s);

}  // namespace sluice::jinja
