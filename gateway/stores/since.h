// How commands say from when on they read a ledger.
#pragma once

#include <cstdint>
#include <string>

#include "engine/result.h"

namespace sluice {

// "30m", "24h", "7d" or "all" to the unix milliseconds it begins at. Errors: invalid_request.
Result<std::int64_t> since_ms(const std::string& since);

}  // namespace sluice
