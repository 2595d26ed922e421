#include "gateway/utc_text.h"

#include <ctime>

namespace sluice {

std::string utc_text(std::int64_t unix_seconds) {
    std::time_t when = unix_seconds;
    std::tm parts{};
    gmtime_r(&when, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

}  // namespace sluice
