#include "gateway/day_pace.h"

#include <algorithm>
#include <filesystem>

#include "gateway/stores/recorded.h"

namespace sluice {
namespace {

constexpr std::int64_t days_read = 8;
constexpr auto relaxed = std::memory_order_relaxed;

// The days on record as the steps of a gateway that ran through them, a minute each.
class Restored {
public:
    explicit Restored(const Policy& policy) : policy_(policy) {}

    void add(const RecordedRequest& one) {
        std::int64_t minute = one.started_unix_ms / 60'000;
        if (minute != minute_) end_minute();
        minute_ = minute;
        // As DayPace::count() does: dollars of every attempt, requests and tiers of answers only.
        if (one.answered || policy_.pace.tier.empty()) {
            const PolicyTier* tier = policy_.tier_of(one.upstream);
            seen_.units += pace_units(policy_, tier == nullptr ? one.tier : tier->name, one.cost);
        }
        if (!one.answered) return;
        ++seen_.requests;
        if (read_record(one.decision, record_, labels_)) shift_ = record_.shift;
    }
    PaceState finish() {
        end_minute();
        state_.shift = clamped_shift(policy_.pace, shift_);
        return state_;
    }

private:
    void end_minute() {
        if (minute_ >= 0) step(state_, policy_.pace, minute_ * 60, seen_);
        seen_ = {};
    }

    const Policy& policy_;
    PaceState state_;
    PaceSeen seen_;
    std::int64_t minute_ = -1;
    double shift_ = 0;
    DecisionRecord record_;
    Labels labels_;
};

Result<PaceState> restored(const Policy& policy, const std::string& url, std::int64_t since_ms) {
    auto path = sqlite_path(url);
    if (!path) return path.error();
    if (std::error_code no; !std::filesystem::exists(*path, no)) return PaceState();
    auto database = open_ledger_to_read(*path);
    if (!database) return database.error();
    Restored days(policy);
    Status read = each_recorded(database->get(), *path, since_ms,
                                [&](const RecordedRequest& one) { days.add(one); });
    if (!read) return read.error();
    return days.finish();
}

}  // namespace

DayPace::Kind DayPace::kind_of(const Pace& pace) {
    if (!pace.active()) return Kind::none;
    return pace.tier.empty() ? Kind::spend : Kind::share;
}

Result<DayPace::Next> DayPace::ready(const Policy& policy, const std::string& ledger_url,
                                     std::int64_t unix_seconds) const {
    if (policy.pace == pace_) return Next();
    if (!policy.pace.active()) return Next(PaceState());
    auto read = restored(policy, ledger_url, (unix_seconds - days_read * 86'400) * 1'000);
    if (!read) return read.error();
    return Next(*read);
}

void DayPace::take_up(const Policy& policy, const Next& next) {
    if (!next) return;
    pace_ = policy.pace;
    state_ = *next;
    kind_.store(kind_of(pace_), relaxed);
    requests_.store(0, relaxed);
    units_.store(0, relaxed);
    shift_.store(state_.shift, relaxed);
    forecast_.store(state_.forecast, relaxed);
}

Status DayPace::follow(const Policy& policy, const std::string& ledger_url,
                       std::int64_t unix_seconds) {
    auto next = ready(policy, ledger_url, unix_seconds);
    if (!next) return next.error();
    take_up(policy, *next);
    return Done{};
}

void DayPace::move(std::int64_t unix_seconds) {
    if (!pace_.active()) return;
    PaceSeen seen;
    seen.requests = requests_.exchange(0, relaxed);
    seen.units = units_.exchange(0, relaxed);
    if (!pace_.tier.empty()) seen.units = std::min(seen.units, seen.requests);
    step(state_, pace_, unix_seconds, seen);
    shift_.store(state_.shift, relaxed);
    forecast_.store(state_.forecast, relaxed);
}

void DayPace::count(const Policy& live, const LedgerEntry& entry) {
    if (!live.pace.active() || kind_of(live.pace) != kind_.load(relaxed)) return;
    if (!live.pace.tier.empty()) {
        if (!entry.answered) return;
        units_.fetch_add(pace_units(live, entry.tier, entry.cost), relaxed);
    } else {
        units_.fetch_add(entry.cost.pico_usd, relaxed);
    }
    if (entry.answered) requests_.fetch_add(1, relaxed);
}

}  // namespace sluice
