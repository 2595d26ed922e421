// Chat templates that the tests render as their models' authors do. Authors change a template after
// release, and converters carry old ones along: which one a model file has is told at start. Pure;
// any thread.
#pragma once

#include <string_view>

namespace sluice {

// Of the template whose SHA-256 this is (64 hex digits); "" when it is none of these.
std::string_view known_template(std::string_view sha256);

}  // namespace sluice
