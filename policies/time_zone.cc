#include "policies/time_zone.h"

#include <charconv>

namespace sluice {

std::optional<std::int16_t> utc_offset_minutes(std::string_view text) {
    if (text == "UTC") return std::int16_t{0};
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return {};
    int hours = -1, minutes = -1;
    const char* begin = text.data();
    bool read = std::from_chars(begin + 1, begin + 3, hours).ptr == begin + 3 &&
                std::from_chars(begin + 4, begin + 6, minutes).ptr == begin + 6;
    if (!read || hours < 0 || hours > 14 || minutes < 0 || minutes > 59) return {};
    return static_cast<std::int16_t>((hours * 60 + minutes) * (text[0] == '-' ? -1 : 1));
}

}  // namespace sluice
