#include "policies/dollars.h"

#include <cstdio>

namespace sluice {

std::string sum_text(PicoSum pico_usd) {
    bool negative = pico_usd < 0;
    if (negative) pico_usd = -pico_usd;
    auto whole = static_cast<unsigned long long>(pico_usd / pico_per_usd);
    auto part = static_cast<unsigned long long>(pico_usd % pico_per_usd);
    char text[64];
    std::snprintf(text, sizeof text, "%s%llu.%012llu", negative ? "-" : "", whole, part);
    std::string out(text);
    while (out.back() == '0' && out[out.size() - 2] != '.') out.pop_back();
    return out;
}

std::string short_usd(PicoSum pico_usd) {
    PicoSum unit = pico_per_usd / 100;
    int decimals = 2;
    PicoSum magnitude = pico_usd < 0 ? -pico_usd : pico_usd;
    for (; decimals < 8 && magnitude != 0 && magnitude < unit * 100; unit /= 10) ++decimals;
    PicoSum rounded = (magnitude + unit / 2) / unit;
    long long scale = 1;
    for (int i = 0; i < decimals; ++i) scale *= 10;
    const std::string part = std::to_string(static_cast<long long>(rounded % scale));
    std::string text = pico_usd < 0 && rounded != 0 ? "-" : "";
    text += std::to_string(static_cast<long long>(rounded / scale)) + '.';
    text.append(static_cast<std::size_t>(decimals) - part.size(), '0').append(part);
    return text;
}

}  // namespace sluice
