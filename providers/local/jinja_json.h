// JSON from a request (a tool's schema, a call's arguments) to template values. All of its text is
// untrusted. Pure; any thread.
#pragma once

#include <optional>
#include <string_view>

#include "providers/local/jinja_value.h"

namespace sluice::jinja {

constexpr int json_depth_max = 48;

// Nothing when it is not JSON or nested deeper than json_depth_max.
std::optional<Value> from_json(std::string_view json);

}  // namespace sluice::jinja
