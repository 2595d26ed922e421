// Where each conversation was answered last, so that it may stay there while its prompt is in that
// upstream's cache. A fixed table of atomics, shared by all io threads, no lock: of two sessions in
// one place the later one stays. Forgets a cache after cache_minutes and a session after a day.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "policies/route.h"
#include "providers/caller.h"

namespace sluice {

class Sessions {
public:
    Sessions();
    // Nothing for a caller without x-sluice-session-id. A session is its org's and team's.
    SessionPast recall(const Caller& caller, std::string_view session_id,
                       std::int64_t unix_seconds) const;
    void note(const Caller& caller, std::string_view session_id, std::int64_t unix_seconds,
              const SessionPast& past);

private:
    static constexpr std::size_t places = 65'536;
    static constexpr std::int64_t cache_minutes = 5;  // the shortest that vendors promise
    static constexpr std::int64_t session_minutes = 1'440;
    // Both words carry the session's mark: a reader that sees halves of two takes neither.
    struct Place {
        std::atomic<std::uint64_t> who{0};   // mark 32, upstream 32
        std::atomic<std::uint64_t> what{0};  // mark 20, minute 20, tokens 24
    };
    std::unique_ptr<std::array<Place, places>> table_;
};

}  // namespace sluice
