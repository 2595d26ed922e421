// `learning`: exploration, shadow answers, and who may teach how much.
#include "policies/policy_reading.h"

namespace sluice {
namespace {

constexpr double explore_percent_most = 5;
constexpr std::int64_t labels_most = 1'000'000;

void read_explore(Cursor& at, LearningPolicy& learning) {
    if (!at.expect_map()) return;
    if (auto percent = at.need("percent"))
        learning.explore_percent = percent->number(0, explore_percent_most).value_or(0);
    if (auto band = at.find("band")) learning.explore_band = band->number(0, 0.5).value_or(0);
    at.close();
}

void read_shadow(PolicyReading& reading, Cursor& at, LearningPolicy& learning) {
    if (!at.expect_map()) return;
    if (auto judge = at.need("judge")) learning.judge = reading.upstream_name(*judge);
    read_usd(at.need("usd_per_day"), learning.shadow_usd_per_day);
    at.close();
}

void read_promote(Cursor& at, LearnerOptions& learner) {
    if (!at.expect_map()) return;
    if (auto labels = at.find("labels_min"))
        learner.labels_min = static_cast<double>(labels->integer(10, labels_most).value_or(300));
    if (auto confidence = at.find("confidence"))
        learner.confidence = confidence->number(0.5, 0.9999).value_or(0.95);
    at.close();
}

}  // namespace

void read_learning(PolicyReading& reading, Cursor& at) {
    if (!at.expect_map()) return;
    LearningPolicy& learning = reading.policy.learning;
    learning = LearningPolicy();
    if (auto explore = at.find("explore")) read_explore(*explore, learning);
    if (auto shadow = at.find("shadow")) read_shadow(reading, *shadow, learning);
    if (auto promote = at.find("promote")) read_promote(*promote, learning.learner);
    if (auto most = at.find("labels_per_key_per_day"))
        learning.learner.key_labels_per_day = most->integer(0, labels_most).value_or(0);
    if (auto most = at.find("labels_per_team_per_day"))
        learning.learner.team_labels_per_day = most->integer(0, labels_most).value_or(0);
    if (auto most = at.find("labels_per_question_per_day"))
        learning.learner.question_labels_per_day = most->integer(1, labels_most).value_or(1);
    if (auto share = at.find("labels_share_per_key"))
        learning.learner.key_share = share->number(0.01, 1).value_or(1);
    if (auto share = at.find("labels_share_per_team"))
        learning.learner.team_share = share->number(0.01, 1).value_or(1);
    at.close();
}

}  // namespace sluice
