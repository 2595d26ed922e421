// The answers of late whose outcome may still become known: what is needed to learn from each, no
// text. A fixed table of sets of four, shared by all io threads; in a full set the oldest gives
// way. Who writes never waits: where another thread is at the same set, that answer is not
// remembered.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policies/online_fit.h"
#include "providers/caller.h"

namespace sluice {

struct Answered {
    std::uint64_t mark = 0;  // answer_mark; 0: none
    std::int64_t at_unix_ms = 0;
    std::string request_id;
    std::string tier;
    float strength = 0;       // of the tier, 0 the weakest .. 1 the strongest
    float propensity = 1;     // that this tier was chosen
    float instead = -1;       // the strength of the tier that might have been; -1: none
    std::uint32_t known = 0;  // a bit for each kind of outcome that has come
    OnlineFeatures features;
};

// Of a request of this caller's team; never 0. Where an answer is kept, and no proof of whose it
// is.
std::uint64_t answer_mark(const Caller& caller, std::string_view request_id);

class RecentAnswers {
public:
    explicit RecentAnswers(std::size_t answers);
    // False: not remembered. Of an id that comes again the later answer, with what is known of the
    // earlier one.
    bool remember(const Answered& answer);
    // The answer as it was before; `kind` (a bit) is known from now on.
    std::optional<Answered> note(std::uint64_t mark, std::string_view request_id,
                                 std::uint32_t kind);

    std::string request_of(std::uint64_t mark);  // its id, or ""

private:
    static constexpr std::size_t ways = 4;
    struct Set {
        std::atomic<bool> busy{false};
        std::array<Answered, ways> answers;
    };
    Set& set_of(std::uint64_t mark) { return sets_[mark % count_]; }

    std::size_t count_;
    std::unique_ptr<Set[]> sets_;
};

}  // namespace sluice
