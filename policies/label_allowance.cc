#include "policies/label_allowance.h"

#include <algorithm>

#include "policies/learner.h"

namespace sluice {
namespace {

constexpr std::size_t names_max = 10'000;  // of keys, and of teams
constexpr double of_late_max = 2'000;      // labels, then all counts are halved
constexpr std::size_t questions_max = 100'000;

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
        of_question_.clear();
        now.of_key.clear();
        now.of_team.clear();
        now.day = label.day;
    }
    // The judge's word and what shows by itself have allowances of their own, so that people are
    // heard; of all labels they are the key's still.
    const std::string source = label.judged ? "shadow " : label.implicit ? "implicit " : "";
    const std::string key = source + label.key_id;
    const std::string team = (label.implicit ? source : "") + label.team;
    if (full(now.of_key, key) || full(now.of_key_of_late, label.key_id)) return Learned::key_enough;
    if (count_of(now.of_key, key) >= options.key_labels_per_day) return Learned::key_enough;
    if (count_of(now.of_team, team) >= options.team_labels_per_day) return Learned::team_enough;
    if (too_many(count_of(now.of_key_of_late, label.key_id), now.of_late, options.key_share,
                 options.labels_min))
        return Learned::key_share;
    if (too_many(count_of(now.of_team_of_late, label.team), now.of_late, options.team_share,
                 options.labels_min))
        return Learned::team_share;
    if (repeats(label, options)) return Learned::repeated;
    ++now.of_key[key];
    ++now.of_team[team];
    ++now.of_key_of_late[label.key_id];
    ++now.of_team_of_late[label.team];
    ++now.of_late;
    age(options.labels_min);
    return Learned::yes;
}

bool LabelAllowance::repeats(const OutcomeLabel& label, const LearnerOptions& options) {
    const OnlineFeatures& asked = label.features;
    std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
    auto add = [&hash](std::uint64_t value) { hash = (hash ^ value) * 0x100000001B3; };
    add(label.implicit ? 1 : 0);  // what shows by itself uses up nobody's words
    for (std::int8_t count : asked.structural) add(static_cast<std::uint8_t>(count));
    for (std::size_t i = 0; i < asked.word_count; ++i) add(asked.words[i]);
    if (of_question_.size() >= questions_max && !of_question_.contains(hash)) of_question_.clear();
    return ++of_question_[hash] > options.question_labels_per_day;
}

void LabelAllowance::age(double labels_min) {
    if (static_cast<double>(state_.of_late) < std::max(of_late_max, 2 * labels_min)) return;
    halve(state_.of_key_of_late);
    halve(state_.of_team_of_late);
    state_.of_late /= 2;
}

}  // namespace sluice
