// The running gateway's pace (policies/pace.h): io threads count what is settled, main moves the
// shift, io threads read it. Atomics; one request reads one number.
// It outlives the process by way of the ledger: the days on record are stepped through again, and
// the shift is the one that the last decision was made with.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ledger_entry.h"
#include "policies/pace.h"
#include "policies/policy.h"

namespace sluice {

class DayPace {
public:
    // Main: goes on as it was while the pace wanted is the same, else begins with what the ledger
    // says of the days before. In two steps for who must do other things between: ready() changes
    // nothing and may fail, take_up() cannot fail. Errors: bad_file.
    using Next = std::optional<PaceState>;  // none: it goes on
    Result<Next> ready(const Policy& policy, const std::string& ledger_url,
                       std::int64_t unix_seconds) const;
    void take_up(const Policy& policy, const Next& next);
    Status follow(const Policy& policy, const std::string& ledger_url, std::int64_t unix_seconds);
    void move(std::int64_t unix_seconds);  // main, every second or so

    // io threads.
    double shift() const { return shift_.load(std::memory_order_relaxed); }
    double forecast() const { return forecast_.load(std::memory_order_relaxed); }
    void count(const Policy& live, const LedgerEntry& entry);

private:
    enum class Kind { none, spend, share };
    static Kind kind_of(const Pace& pace);
    std::atomic<double> shift_{0};
    std::atomic<double> forecast_{0};
    std::atomic<std::int64_t> requests_{0};
    std::atomic<std::int64_t> units_{0};
    std::atomic<Kind> kind_{Kind::none};  // what units_ are, while requests of an older policy end
    Pace pace_;                           // main's, as the rest
    PaceState state_;
};

}  // namespace sluice
