// Champion and challenger: what has been learned from outcomes, and which of it decides. Pure, no
// clock; one thread. The champion decides; the challenger learns from every label and takes over
// only when its estimated worth (off_policy.h) is above the champion's by its lower bound, and no
// team's labels speak against it. The champion before stays, is measured beside it, and comes back
// at once when the champion's upper bound falls below it.
//
// One key's, and one team's, labels count only up to a number a day: nobody can move what others
// get far in a day, and a label presses no harder than its weight (online_fit.h).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/result.h"
#include "policies/off_policy.h"
#include "policies/online_fit.h"

namespace sluice {

// What one judged request taught: one side's outcome, or both.
struct OutcomeLabel {
    OnlineFeatures features;
    std::optional<double> local, frontier;  // 0 wrong .. 1 right
    // That the side that is judged was chosen; below 1 where the other could have been.
    double propensity = 1;
    // Of a tier between: how far the outcome is the frontier's (Scoring::Tier::strength).
    double strength = -1;  // -1: it is local or the frontier, as said
    std::string team, key_id;
    std::int64_t day = 0;  // since 1970, UTC
};

struct LearnerOptions {
    std::int64_t key_labels_per_day = 200;
    std::int64_t team_labels_per_day = 1'000;
    double labels_min = 300;  // compared before anything takes over
    double confidence = 0.95;
};

enum class Learned {
    yes,
    promoted,     // and the challenger became champion
    rolled_back,  // and the champion gave way to the one before
    key_enough,   // not learned: the key's labels of the day are used up
    team_enough,  // likewise the team's
};

struct LearnerModel {
    std::shared_ptr<const OnlineWeights> weights;  // null: the shipped prior
    std::uint64_t version = 0;                     // 0: the shipped prior
    double labels = 0;                             // learned from
};

// How the challenger does against the champion, or the champion against the one before.
struct Trial {
    RunningBound all;
    struct Team {
        std::string name;
        RunningBound bound;
    };
    static constexpr std::size_t teams_max = 64;  // the rest counts as one
    std::vector<Team> teams;

    void add(const std::string& team, double difference);
};

class Learner {
public:
    explicit Learner(LearnerOptions options = {});
    const LearnerOptions& options() const { return options_; }
    void set_options(const LearnerOptions& options) { options_ = options; }

    Learned learn(const OutcomeLabel& label);
    // The champion gives way to the one before, or, if `shipped`, to the shipped prior; the
    // challenger begins anew from it. False: nothing to go back to.
    bool roll_back(bool shipped);

    // This one in place of another, whose champion it may be rolled back to.
    Learner imported_over(const Learner& other) const;

    const LearnerModel& champion() const { return champion_; }
    const LearnerModel& before() const { return before_; }
    const Trial& trial() const { return trial_; }  // the challenger less the champion
    const Trial& guard() const { return guard_; }  // the champion less the one before
    const OnlineWeights& challenger() const { return challenger_.weights(); }
    double challenger_labels() const { return labels_; }
    std::uint64_t promotions() const { return promotions_; }
    std::uint64_t rollbacks() const { return rollbacks_; }

    // The whole state as bytes, for a file; `classifier` is whose prior it corrects.
    std::string write(const std::string& classifier) const;
    // Errors: bad_file naming `file`: not such a file, truncated, a digest that does not fit,
    // another version, another classifier's.
    static Result<Learner> read(std::string_view bytes, const std::string& classifier,
                                const std::string& file);

private:
    bool allowed(const OutcomeLabel& label, Learned& refused);
    void compare(const OutcomeLabel& label);
    bool wins() const;
    void promote();

    LearnerOptions options_;
    LearnerModel champion_, before_;
    OnlineFit challenger_;
    double labels_ = 0;
    Trial trial_, guard_;
    std::uint64_t versions_ = 0, promotions_ = 0, rollbacks_ = 0;
    std::int64_t day_ = 0;
    std::unordered_map<std::string, std::int64_t> of_key_, of_team_;  // labels of the day
};

}  // namespace sluice
