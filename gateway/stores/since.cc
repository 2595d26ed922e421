#include "gateway/stores/since.h"

#include <chrono>

namespace sluice {

Result<std::int64_t> since_ms(const std::string& since) {
    if (since == "all") return std::int64_t{0};
    char unit = since.empty() ? ' ' : since.back();
    std::int64_t ms = unit == 'm' ? 60'000 : unit == 'h' ? 3'600'000 : unit == 'd' ? 86'400'000 : 0;
    std::string count = since.empty() ? "" : since.substr(0, since.size() - 1);
    bool digits = !count.empty() && count.size() <= 6 &&
                  count.find_first_not_of("0123456789") == std::string::npos;
    if (ms == 0 || !digits)
        return Error(Errc::invalid_request,
                     "--since: expected 30m, 24h, 7d or all, got '" + since + "'");
    auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count() -
           std::stoll(count) * ms;
}

}  // namespace sluice
