// Money: an integer of pico-dollars (1e-12 USD). A price of $0.0028 per million tokens is 2,800
// pico-dollars a token: exact. Never floating point outside metrics and reports.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

struct Money {
    std::int64_t pico_usd = 0;  // +-9.2 million dollars

    friend auto operator<=>(const Money&, const Money&) = default;
    // Saturate at the ends of int64 instead of wrapping.
    Money& operator+=(Money other);
    friend Money operator+(Money a, Money b) { return a += b; }
};

constexpr std::int64_t pico_per_usd = 1'000'000'000'000;

// "0.000123456789": exact, no exponent, no trailing zeros beyond the first decimal ("0.0").
std::string usd_text(Money money);

// A decimal such as "2.20" or "0.0028", dollars per million tokens, to pico-dollars per token.
// Errors: not a plain non-negative decimal; more digits than pico-dollars can hold exactly.
Result<std::int64_t> pico_per_token(std::string_view usd_per_mtok);

// A plain non-negative decimal dollar amount to Money, exact or an error.
Result<Money> parse_usd(std::string_view usd);

}  // namespace sluice
