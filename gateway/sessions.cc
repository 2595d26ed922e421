#include "gateway/sessions.h"

#include <algorithm>

#include "gateway/owned_mark.h"

namespace sluice {
namespace {

constexpr std::uint64_t tokens_mask = (1U << 24) - 1;
constexpr std::uint64_t minute_mask = (1U << 20) - 1;

std::uint64_t minute_of(std::int64_t unix_seconds) {
    return static_cast<std::uint64_t>(unix_seconds / 60) & minute_mask;
}

}  // namespace

Sessions::Sessions() : table_(std::make_unique<std::array<Place, places>>()) {}

SessionPast Sessions::recall(const Caller& caller, std::string_view session_id,
                             std::int64_t unix_seconds) const {
    if (session_id.empty()) return {};
    std::uint64_t hash = owned_mark(caller, session_id);
    const Place& place = (*table_)[hash % places];
    std::uint64_t who = place.who.load(std::memory_order_relaxed);
    std::uint64_t what = place.what.load(std::memory_order_relaxed);
    if (who >> 32 != hash >> 32 || what >> 44 != hash >> 44) return {};
    auto age = static_cast<std::int64_t>((minute_of(unix_seconds) - (what >> 24)) & minute_mask);
    if (age > session_minutes) return {};
    SessionPast past;
    past.upstream = static_cast<std::uint32_t>(who);
    if (age < cache_minutes) past.prefix_tokens = static_cast<std::int64_t>(what & tokens_mask);
    return past;
}

void Sessions::note(const Caller& caller, std::string_view session_id, std::int64_t unix_seconds,
                    const SessionPast& past) {
    if (session_id.empty()) return;
    std::uint64_t hash = owned_mark(caller, session_id);
    Place& place = (*table_)[hash % places];
    auto tokens = std::clamp<std::int64_t>(past.prefix_tokens, 0, tokens_mask);
    place.who.store((hash >> 32) << 32 | past.upstream, std::memory_order_relaxed);
    place.what.store(
        (hash >> 44) << 44 | minute_of(unix_seconds) << 24 | static_cast<std::uint64_t>(tokens),
        std::memory_order_relaxed);
}

}  // namespace sluice
