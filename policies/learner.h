// Champion and challenger: what has been learned from outcomes, and whether it decides. Pure, no
// clock; one thread. The challenger (online_mix.h) learns from every label. It is measured beside
// the base, which is what decided when the measuring began: the shipped prior, or what was rolled
// back to. Each outcome first tells which of the two would have been worth more (off_policy.h),
// then it is learned from.
//
// Once the lower bound of that difference is above 0, the champion, which decides, follows the
// challenger step by step; it stays as it is while the estimate is not above 0 any more, or any
// team's own labels speak against it. When the upper bound of the champion's own difference falls
// below 0, the base decides again at once. People may roll back to the champion of some time
// before, or the prior.
//
// One key's, and one team's, labels count up to a number a day and to a share of all
// (label_allowance.h): nobody can move alone what others get, and a label presses no harder than
// its weight (online_fit.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "policies/label_allowance.h"
#include "policies/learner_options.h"
#include "policies/off_policy.h"
#include "policies/online_mix.h"

namespace sluice {

// What one judged request taught: one side's outcome, or both.
struct OutcomeLabel {
    OnlineFeatures features;
    std::optional<double> local, frontier;  // 0 wrong .. 1 right
    // That the side that is judged was chosen; below 1 where the other could have been.
    double propensity = 1;
    // Of a tier between: how far the outcome is the frontier's (Scoring::Tier::strength); where
    // both are given, that of `local`'s tier.
    double strength = -1;  // -1: it is local or the frontier, as said
    double other = -1;     // likewise of the tier that might have been; of both, `frontier`'s
    std::string team, key_id;
    bool judged = false;    // a judge said it, not the key
    bool implicit = false;  // the answer's form said it: teaches, and decides nothing
    std::int64_t day = 0;   // since 1970, UTC
};

struct LearnerModel {
    std::shared_ptr<const OnlineWeights> weights;        // null: the shipped prior
    std::shared_ptr<const OnlineMix::State> learned_of;  // what it is the sum of; null likewise
    std::uint64_t version = 0;                           // 0: the shipped prior
    double labels = 0;                                   // learned from
};

// How the challenger, or the champion, does against the base.
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
    // challenger begins anew from it, and has to win anew. False: nothing to go back to.
    bool roll_back(bool shipped);

    // This one in place of another, whose champion it is measured beside and rolled back to.
    Learner imported_over(const Learner& other) const;

    const LearnerModel& champion() const { return champion_; }
    const LearnerModel& before() const { return before_; }
    const LearnerModel& base() const { return base_; }
    const Trial& trial() const { return trial_; }  // the challenger less the base
    const Trial& guard() const { return guard_; }  // the champion less the base, of late
    bool follows() const;  // whether the champion goes along with the challenger now
    const OnlineMix& challenger() const { return challenger_; }
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
    void compare(const OutcomeLabel& label);
    void teach(const OutcomeLabel& label);
    void step();
    void begin_from(const LearnerModel& model);

    LearnerOptions options_;
    LearnerModel champion_, before_, base_;
    OnlineMix challenger_;
    double labels_ = 0;
    Trial trial_, guard_;
    std::uint64_t versions_ = 0, promotions_ = 0, rollbacks_ = 0;
    LabelAllowance allowance_;
};

}  // namespace sluice
