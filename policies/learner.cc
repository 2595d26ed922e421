#include "policies/learner.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr double team_labels_min = 50;     // from there on a team's own labels are heard apart
constexpr std::size_t names_max = 10'000;  // keys and teams counted in a day

const OnlineWeights& weights_of(const LearnerModel& model) {
    static const OnlineWeights shipped;
    return model.weights ? *model.weights : shipped;
}

// The gain that the outcome shows, as `model` completes it; nothing where only one answer could
// have been given.
std::optional<double> true_gain(const OutcomeLabel& label, const OnlineWeights& model) {
    if (label.local && label.frontier) return *label.frontier - *label.local;
    if (label.strength > 0 && label.strength < 1) return {};
    if (label.propensity >= 1) return {};
    bool frontier = label.frontier.has_value();
    return gain_doubly_robust(frontier, frontier ? *label.frontier : *label.local, label.propensity,
                              model.p_ok(Side::local, label.features),
                              model.p_ok(Side::frontier, label.features));
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

bool Learner::allowed(const OutcomeLabel& label, Learned& refused) {
    if (label.day != day_) {
        of_key_.clear();
        of_team_.clear();
        day_ = label.day;
    }
    if (of_key_.size() >= names_max && !of_key_.contains(label.key_id)) {
        refused = Learned::key_enough;
        return false;
    }
    std::int64_t& key = of_key_[label.key_id];
    std::int64_t& team = of_team_[label.team];
    if (key >= options_.key_labels_per_day) {
        refused = Learned::key_enough;
        return false;
    }
    if (team >= options_.team_labels_per_day) {
        refused = Learned::team_enough;
        return false;
    }
    ++key;
    ++team;
    return true;
}

Learned Learner::learn(const OutcomeLabel& label) {
    Learned result = Learned::yes;
    if (!allowed(label, result)) return result;
    compare(label);  // before the challenger has seen the outcome
    double weight = 1 / std::clamp(label.propensity, 1 / label_weight_max, 1.0);
    if (label.strength >= 0 && (label.local.has_value() != label.frontier.has_value())) {
        double ok = label.local ? *label.local : *label.frontier;
        if (label.strength < 1)
            challenger_.learn(Side::local, label.features, ok, weight * (1 - label.strength));
        if (label.strength > 0)
            challenger_.learn(Side::frontier, label.features, ok, weight * label.strength);
    } else {
        if (label.local) challenger_.learn(Side::local, label.features, *label.local, weight);
        if (label.frontier)
            challenger_.learn(Side::frontier, label.features, *label.frontier, weight);
    }
    labels_ += 1;
    if (guard_.all.count() >= options_.labels_min && guard_.all.high(options_.confidence) < 0) {
        roll_back(false);
        return Learned::rolled_back;
    }
    if (!wins()) return Learned::yes;
    promote();
    return Learned::promoted;
}

void Learner::compare(const OutcomeLabel& label) {
    const OnlineWeights& champion = weights_of(champion_);
    auto shown = true_gain(label, champion);
    if (!shown) return;
    double now = worth_of_gain(champion.gain(label.features), *shown);
    double next = worth_of_gain(challenger_.weights().gain(label.features), *shown);
    trial_.add(label.team, next - now);
    if (champion_.version == 0) return;
    double before = worth_of_gain(weights_of(before_).gain(label.features), *shown);
    guard_.add(label.team, now - before);
}

bool Learner::wins() const {
    if (trial_.all.count() < options_.labels_min) return false;
    if (trial_.all.low(options_.confidence) <= 0) return false;
    return std::none_of(trial_.teams.begin(), trial_.teams.end(), [&](const Trial::Team& team) {
        return team.bound.count() >= team_labels_min && team.bound.mean() < 0;
    });
}

void Learner::promote() {
    before_ = champion_;
    champion_.weights = std::make_shared<const OnlineWeights>(challenger_.weights());
    champion_.version = ++versions_;
    champion_.labels = labels_;
    ++promotions_;
    trial_ = guard_ = Trial();
}

Learner Learner::imported_over(const Learner& other) const {
    Learner out = *this;
    out.options_ = other.options_;
    out.before_ = other.champion_;
    out.versions_ = std::max(versions_, other.versions_);
    if (out.champion_.weights) out.champion_.version = ++out.versions_;
    out.promotions_ = other.promotions_;
    out.rollbacks_ = other.rollbacks_;
    out.trial_ = out.guard_ = Trial();
    out.day_ = other.day_;
    out.of_key_ = other.of_key_;
    out.of_team_ = other.of_team_;
    return out;
}

bool Learner::roll_back(bool shipped) {
    if (champion_.version == 0) return false;
    champion_ = shipped ? LearnerModel() : before_;
    before_ = LearnerModel();
    challenger_ = OnlineFit(weights_of(champion_));
    labels_ = champion_.labels;
    ++rollbacks_;
    trial_ = guard_ = Trial();
    return true;
}

}  // namespace sluice
