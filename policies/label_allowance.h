// Who may teach how much: so many labels a day of one key and of one team, and no more than a share
// of all labels of late, so that one of them alone can never make what others get; and the same
// question, by its words and counts, only a few times a day, as copies of it are no further
// evidence. Pure, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

namespace sluice {

struct OutcomeLabel;
struct LearnerOptions;

enum class Learned {
    yes,
    promoted,     // and the challenger became champion
    rolled_back,  // and the champion gave way
    key_enough,   // not learned: the key's labels of the day are used up
    team_enough,  // likewise the team's
    key_share,    // not learned: of all labels of late too many are the key's
    team_share,   // likewise the team's
    repeated,     // not learned: the same question has taught enough today
};
bool taught(Learned learned);

class LabelAllowance {
public:
    // yes: it counts from now on.
    Learned take(const OutcomeLabel& label, const LearnerOptions& options);

    using Counts = std::map<std::string, std::int64_t>;
    struct State {
        std::int64_t day = 0;
        Counts of_key, of_team;                  // of the day
        Counts of_key_of_late, of_team_of_late;  // halved from time to time
        std::int64_t of_late = 0;
    };
    const State& state() const { return state_; }
    void restore(State state) { state_ = std::move(state); }

private:
    void age(double labels_min);
    bool repeats(const OutcomeLabel& label, const LearnerOptions& options);
    State state_;
    std::unordered_map<std::uint64_t, std::int64_t> of_question_;  // of the day; not kept
};

}  // namespace sluice
