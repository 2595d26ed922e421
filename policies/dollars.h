// Sums of money that can pass int64: 128 bits of pico-dollars. Pure.
#pragma once

#include <string>

#include "providers/money.h"

namespace sluice {

using PicoSum = __int128;

// "9.44": exact, no trailing zeros beyond the first decimal.
std::string sum_text(PicoSum pico_usd);

// "9.44", "0.0031": rounded half up to cents, or, under a dollar, to four digits that say
// something. For people.
std::string short_usd(PicoSum pico_usd);

}  // namespace sluice
