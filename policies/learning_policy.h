// The policy's section `learning`: how much is tried, who judges, and how fast what was learned may
// change things. Read in policies/learning_yaml.cc.
#pragma once

#include <string>

#include "policies/learner_options.h"
#include "providers/money.h"

namespace sluice {

struct LearningPolicy {
    double explore_percent = 0;  // of the requests near a threshold; 0 = none
    double explore_band = 0.05;  // how near: difficulty, or a right answer's worth
    std::string judge;           // upstream that judges shadow answers; "" = none are made
    Money shadow_usd_per_day;    // for shadow answers and their judging together
    LearnerOptions learner;
};

}  // namespace sluice
