#include "providers/money.h"

#include <charconv>
#include <limits>

namespace sluice {
namespace {

constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t int64_min = std::numeric_limits<std::int64_t>::min();

// `text` times 10^decimals as an integer. Errors: not digits[.digits]; a digit other than 0 beyond
// `decimals`; more than int64 holds.
Result<std::int64_t> scaled_decimal(std::string_view text, int decimals, const char* what) {
    auto wrong = [&](const char* why) {
        return Error(Errc::invalid_request, std::string("expected ") + what + ", got '" +
                                                std::string(text.substr(0, 64)) + "': " + why);
    };
    __int128 value = 0;
    int after_point = -1;  // digits seen after the point; -1 = no point yet
    bool any_digit = false;
    for (char c : text) {
        if (c == '.' && after_point < 0) {
            after_point = 0;
            continue;
        }
        if (c < '0' || c > '9') return wrong("only digits and one decimal point may be there");
        any_digit = true;
        if (after_point >= 0) ++after_point;
        if (after_point > decimals) {
            if (c != '0') return wrong("more decimals than can be held exactly");
            continue;
        }
        value = value * 10 + (c - '0');
        if (value > int64_max) return wrong("too large");
    }
    if (!any_digit) return wrong("there is no digit");
    for (int have = after_point < 0 ? 0 : after_point; have < decimals; ++have) {
        value *= 10;
        if (value > int64_max) return wrong("too large");
    }
    return static_cast<std::int64_t>(value);
}

}  // namespace

Money& Money::operator+=(Money other) {
    if (__builtin_add_overflow(pico_usd, other.pico_usd, &pico_usd))
        pico_usd = other.pico_usd > 0 ? int64_max : int64_min;
    return *this;
}

std::string usd_text(Money money) {
    // Through unsigned: the negative of INT64_MIN does not fit int64.
    auto magnitude = static_cast<std::uint64_t>(money.pico_usd);
    if (money.pico_usd < 0) magnitude = 0 - magnitude;
    char text[40];
    char* end = text;
    if (money.pico_usd < 0) *end++ = '-';
    end = std::to_chars(end, end + 20, magnitude / pico_per_usd).ptr;
    *end++ = '.';
    std::uint64_t fraction = magnitude % pico_per_usd;
    for (int i = 11; i >= 0; --i, fraction /= 10) end[i] = static_cast<char>('0' + fraction % 10);
    end += 12;
    while (end[-1] == '0' && end[-2] != '.') --end;
    return std::string(text, end);
}

Result<std::int64_t> pico_per_token(std::string_view usd_per_mtok) {
    // $1 per million tokens is 1e12 / 1e6 pico-dollars a token: six decimals are exact.
    return scaled_decimal(usd_per_mtok, 6, "dollars per million tokens such as \"2.20\"");
}

Result<Money> parse_usd(std::string_view usd) {
    auto pico = scaled_decimal(usd, 12, "a dollar amount such as \"12.50\"");
    if (!pico) return pico.error();
    return Money{*pico};
}

}  // namespace sluice
