#include "policies/learner.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr double team_labels_min = 50;   // from there on a team's own labels are heard apart
constexpr double step_labels = 10;       // from one champion to the next
constexpr double before_labels = 1'000;  // that the one to roll back to is older by, at least
constexpr double guard_labels = 1'000;   // the champion is judged by so many at a time

const OnlineWeights& weights_of(const LearnerModel& model) {
    static const OnlineWeights shipped;
    return model.weights ? *model.weights : shipped;
}

// The gain that the outcome shows, as `model` completes it; nothing where only one answer could
// have been given.
// Between tiers of other strengths than 0 and 1 it is as much of the whole gain as they are apart.
std::optional<double> true_gain(const OutcomeLabel& label, const OnlineWeights& model) {
    const bool both = label.local && label.frontier;
    const double own = label.strength >= 0 ? label.strength : label.frontier && !both ? 1 : 0;
    const double other = label.other >= 0 ? label.other : label.strength >= 0 ? own : 1 - own;
    if (label.implicit || own == other) return {};
    const double apart = std::abs(other - own);
    if (both) return (other > own ? 1 : -1) * (*label.frontier - *label.local) / apart;
    if (label.propensity >= 1) return {};
    const double local = model.p_ok(Side::local, label.features);
    const double gain = model.p_ok(Side::frontier, label.features) - local;
    const double ok = label.frontier ? *label.frontier : *label.local;
    return gain_doubly_robust(own > other, ok, label.propensity,
                              local + std::min(own, other) * gain,
                              local + std::max(own, other) * gain) /
           apart;
}

}  // namespace

void Trial::add(const std::string& team, double difference) {
    all.add(difference);
    auto found =
        std::find_if(teams.begin(), teams.end(), [&](const Team& one) { return one.name == team; });
    if (found == teams.end() && teams.size() >= teams_max)
        return teams.back().bound.add(difference);
    if (found == teams.end()) found = teams.insert(teams.end(), Team{team, {}});
    found->bound.add(difference);
}

Learner::Learner(LearnerOptions options) : options_(options) {}

Learned Learner::learn(const OutcomeLabel& label) {
    Learned taken = allowance_.take(label, options_);
    if (taken != Learned::yes) return taken;
    compare(label);  // before the challenger has seen the outcome
    teach(label);
    labels_ += 1;
    if (guard_.all.count() >= options_.labels_min && guard_.all.high(options_.confidence) < 0) {
        before_ = base_;
        roll_back(false);
        return Learned::rolled_back;
    }
    if (guard_.all.count() >= std::max(guard_labels, options_.labels_min)) guard_ = Trial();
    if (!follows()) return Learned::yes;
    bool first = champion_.version == base_.version;
    if (!first && labels_ - champion_.labels < step_labels) return Learned::yes;
    step();
    if (!first) return Learned::yes;
    ++promotions_;
    return Learned::promoted;
}

void Learner::compare(const OutcomeLabel& label) {
    const OnlineWeights& base = weights_of(base_);
    auto shown = true_gain(label, base);
    if (!shown) return;
    double beside = worth_of_gain(base.gain(label.features), *shown);
    trial_.add(label.team, worth_of_gain(challenger_.gain(label.features), *shown) - beside);
    if (champion_.version == base_.version) return;
    double now = worth_of_gain(weights_of(champion_).gain(label.features), *shown);
    guard_.add(label.team, now - beside);
}

void Learner::teach(const OutcomeLabel& label) {
    const double weight = 1 / std::clamp(label.propensity, 1 / label_weight_max, 1.0);
    auto learn = [&](double ok, double strength) {
        if (strength < 1) challenger_.learn(Side::local, label.features, ok, weight, 1 - strength);
        if (strength > 0) challenger_.learn(Side::frontier, label.features, ok, weight, strength);
    };
    const bool placed = label.strength >= 0, both = label.local && label.frontier;
    if (label.local) learn(*label.local, placed ? label.strength : 0);
    if (label.frontier) learn(*label.frontier, !placed ? 1 : both ? label.other : label.strength);
}

bool Learner::follows() const {
    if (trial_.all.count() < options_.labels_min) return false;
    // What was shown once, by a bound that holds at every count, is shown; from then on the
    // estimate only has to stay on that side.
    bool shown = champion_.version != base_.version;
    double least = shown ? trial_.all.mean() : trial_.all.low(options_.confidence);
    if (least <= 0) return false;
    return std::none_of(trial_.teams.begin(), trial_.teams.end(), [&](const Trial::Team& team) {
        return team.bound.count() >= team_labels_min && team.bound.mean() < 0;
    });
}

void Learner::step() {
    bool first = champion_.version == base_.version;
    if (first || champion_.labels - before_.labels >= before_labels) before_ = champion_;
    auto learned_of = std::make_shared<const OnlineMix::State>(challenger_.state());
    champion_.weights = std::make_shared<const OnlineWeights>(weights_of(*learned_of));
    champion_.learned_of = std::move(learned_of);
    champion_.version = ++versions_;
    champion_.labels = labels_;
}

Learner Learner::imported_over(const Learner& other) const {
    Learner out = *this;
    out.options_ = other.options_;
    out.before_ = out.base_ = other.champion_;
    out.versions_ = std::max(versions_, other.versions_);
    if (out.champion_.weights) out.champion_.version = ++out.versions_;
    out.promotions_ = other.promotions_;
    out.rollbacks_ = other.rollbacks_;
    out.trial_ = out.guard_ = Trial();
    out.allowance_ = other.allowance_;
    return out;
}

void Learner::begin_from(const LearnerModel& model) {
    champion_ = base_ = model;
    challenger_ = model.learned_of ? OnlineMix(*model.learned_of) : OnlineMix();
    labels_ = champion_.labels;
    trial_ = guard_ = Trial();
}

bool Learner::roll_back(bool shipped) {
    if (champion_.version == 0) return false;
    LearnerModel back = shipped ? LearnerModel() : before_;
    before_ = LearnerModel();
    begin_from(back);
    ++rollbacks_;
    return true;
}

}  // namespace sluice
