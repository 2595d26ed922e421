// A moment as users read it.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// "2026-11-22T09:30:00Z"
std::string utc_text(std::int64_t unix_seconds);

}  // namespace sluice
