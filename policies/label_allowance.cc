#include "policies/label_allowance.h"

#include <algorithm>

#include "policies/learner.h"

namespace sluice {
namespace {

constexpr std::size_t names_max = 10'000;  // of keys, and of teams
constexpr double of_late_max = 2'000;      // labels, then all counts are halved

// Whoever speaks alone comes to half of what is needed for anything to take over; from then on
// only others' labels make room.
bool too_many(std::int64_t own, std::int64_t all, double share, double labels_min) {
    double alone = labels_min * (1 - share) / 2;
    return static_cast<double>(own + 1) > share * static_cast<double>(all + 1) + alone;
}

std::int64_t count_of(const LabelAllowance::Counts& counts, const std::string& name) {
    auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
}

bool full(const LabelAllowance::Counts& counts, const std::string& name) {
    return counts.size() >= names_max && !counts.contains(name);
}

void halve(LabelAllowance::Counts& counts) {
    for (auto& [name, count] : counts) count /= 2;
    std::erase_if(counts, [](const auto& one) { return one.second == 0; });
}

}  // namespace

bool taught(Learned learned) {
    return learned == Learned::yes || learned == Learned::promoted ||
           learned == Learned::rolled_back;
}

Learned LabelAllowance::take(const OutcomeLabel& label, const LearnerOptions& options) {
    State& now = state_;
    if (label.day != now.day) {
        now.of_key.clear();
        now.of_team.clear();
        now.day = label.day;
    }
    // The judge's word has an allowance of its own; of all labels it is the key's still.
    std::string key = (label.judged ? "shadow " : "") + label.key_id;
    if (full(now.of_key, key) || full(now.of_key_of_late, label.key_id)) return Learned::key_enough;
    if (count_of(now.of_key, key) >= options.key_labels_per_day) return Learned::key_enough;
    if (count_of(now.of_team, label.team) >= options.team_labels_per_day)
        return Learned::team_enough;
    if (too_many(count_of(now.of_key_of_late, label.key_id), now.of_late, options.key_share,
                 options.labels_min))
        return Learned::key_share;
    if (too_many(count_of(now.of_team_of_late, label.team), now.of_late, options.team_share,
                 options.labels_min))
        return Learned::team_share;
    ++now.of_key[key];
    ++now.of_team[label.team];
    ++now.of_key_of_late[label.key_id];
    ++now.of_team_of_late[label.team];
    ++now.of_late;
    age(options.labels_min);
    return Learned::yes;
}

void LabelAllowance::age(double labels_min) {
    if (static_cast<double>(state_.of_late) < std::max(of_late_max, 2 * labels_min)) return;
    halve(state_.of_key_of_late);
    halve(state_.of_team_of_late);
    state_.of_late /= 2;
}

}  // namespace sluice
