// A time zone as policies and budgets write it: an offset from UTC. A name such as Europe/Berlin
// would need the machine's data, and so mean different things on two machines.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

// Minutes east of UTC of "+02:00", "-05:30" or "UTC"; nothing when it is something else.
std::optional<std::int16_t> utc_offset_minutes(std::string_view text);

}  // namespace sluice
