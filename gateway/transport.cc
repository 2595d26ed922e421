#include "gateway/transport.h"

#include <curl/curl.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace sluice {
namespace {

constexpr int retry_after_ms_max = 3'600'000;

bool same_word(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

int whole_ms(double milliseconds) {
    if (!(milliseconds > 0)) return 0;  // "nan" is a number to from_chars
    return static_cast<int>(std::min(milliseconds, double{retry_after_ms_max}));
}

}  // namespace

void ResponseHead::read_field(std::string_view name, std::string_view value) {
    if (same_word(name, "content-type")) content_type = value;
    if (same_word(name, "retry-after-ms")) {
        double milliseconds = 0;
        std::from_chars(value.data(), value.data() + value.size(), milliseconds);
        retry_after_ms = whole_ms(milliseconds);
    }
    if (same_word(name, "retry-after") && retry_after_ms == 0)
        retry_after_ms = parse_retry_after_ms(value, std::time(nullptr));
}

int parse_retry_after_ms(std::string_view value, std::int64_t now_unix_s) {
    double seconds = 0;
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (ec == std::errc() && end == value.data() + value.size()) return whole_ms(seconds * 1000);
    std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
    if (date == -1) return 0;
    return whole_ms(static_cast<double>(date - now_unix_s) * 1000);
}

std::string host_of(const std::string& url) {
    std::string_view rest = url;
    std::size_t scheme = rest.find("://");
    if (scheme != std::string_view::npos) rest.remove_prefix(scheme + 3);
    rest = rest.substr(0, host_bytes(rest));
    std::size_t at = rest.rfind('@');
    if (at != std::string_view::npos) rest.remove_prefix(at + 1);
    return std::string(rest);
}

std::size_t host_bytes(std::string_view rest_of_url) {
    std::size_t end = 0;
    for (char c : rest_of_url) {
        if (c == '/' || c == '?' || c == '#') break;
        ++end;
    }
    return end;
}

bool has_line_break(const std::vector<std::string>& headers) {
    return std::any_of(headers.begin(), headers.end(), [](const std::string& header) {
        return header.find('\r') != std::string::npos || header.find('\n') != std::string::npos;
    });
}

Error call_given_up(const std::string& host) {
    return Error(Errc::cancelled, host + ": the call was given up");
}

Error deadline_passed(const std::string& host, const Deadline& deadline) {
    return Error(Errc::timed_out, host + ": " + std::string(deadline.name) + " of " +
                                      std::to_string(deadline.limit_ms) + " ms passed");
}

Error over_body_limit(const std::string& host, std::size_t bytes_max) {
    return Error(Errc::upstream_failed, host + ": the answer is over the limit of " +
                                            std::to_string(bytes_max) + " bytes");
}

Error line_break_in_key(const std::string& host) {
    return Error(Errc::upstream_failed,
                 host + ": the call could not be started; is there a line break in its key?");
}

}  // namespace sluice
