// How fast what was learned may change things, and who may teach how much (learner.h).
#pragma once

#include <cstdint>

namespace sluice {

struct LearnerOptions {
    std::int64_t key_labels_per_day = 200;
    std::int64_t team_labels_per_day = 1'000;
    std::int64_t question_labels_per_day = 20;  // of the same words and counts
    double key_share = 0.5, team_share = 0.8;  // of all labels of late; 1: no bound
    double labels_min = 300;                   // compared before anything takes over
    double confidence = 0.95;
};

}  // namespace sluice
