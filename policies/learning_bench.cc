#include "policies/learning_bench.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "policies/router_metrics.h"

namespace sluice {
namespace {

constexpr std::size_t look_every = 50;  // labels
constexpr int draws = 400;
constexpr double explored = 0.02, band = 0.05;
constexpr std::string_view mixed = "mixed";

using Rows = std::vector<const RouterRow*>;

struct Split {
    Rows prior, stream, kept;
};

// Even over clusters: these are already hashes, but of what they are of is not ours.
std::uint64_t place_of(std::uint64_t cluster, std::uint64_t split, std::uint64_t places) {
    return (((cluster + split) * 0x9E37'79B9'7F4A'7C15) >> 40) % places;
}

Split split_of(const std::vector<RouterRow>& rows, const std::string& source, std::uint64_t salt) {
    std::set<std::uint64_t> own;
    for (const RouterRow& row : rows)
        if (row.paired && row.source == source) own.insert(row.cluster);
    Split split;
    for (const RouterRow& row : rows) {
        if (!row.paired || std::max(row.weak, row.strong) > 1) continue;
        if (source == mixed)
            (std::array{&split.prior, &split.stream, &split.kept})[place_of(row.cluster, salt, 3)]
                ->push_back(&row);
        else if (row.source == source)
            (place_of(row.cluster, salt, 10) < 4 ? split.kept : split.stream).push_back(&row);
        else if (!own.contains(row.cluster))
            split.prior.push_back(&row);
    }
    return split;
}

// One fold's rows as standard deviations of the prior's.
void standardise(std::vector<RouterRow>& rows, const Rows& by) {
    for (std::size_t i = 0; i < structural_count; ++i) {
        double mean = 0, square = 0;
        for (const RouterRow* row : by) mean += static_cast<double>(row->features.structural[i]);
        mean /= static_cast<double>(by.size());
        for (const RouterRow* row : by)
            square += std::pow(static_cast<double>(row->features.structural[i]) - mean, 2);
        double deviation = std::sqrt(square / static_cast<double>(by.size()));
        double scale = deviation > 0 ? 1 / deviation : 0;
        for (RouterRow& row : rows) {
            double value = (static_cast<double>(row.features.structural[i]) - mean) * scale;
            row.features.structural[i] = static_cast<float>(std::clamp(value, -4.0, 4.0));
        }
    }
}

struct Heads {
    LinearHead local, frontier;

    double gain(const RouterRow& row) const {
        return sigmoid(frontier.score(row.features)) - sigmoid(local.score(row.features));
    }
};

Heads fit(const Rows& rows) {
    std::vector<FitExample> local, frontier;
    for (const RouterRow* row : rows) {
        local.push_back({&row->features, row->weak, 1});
        frontier.push_back({&row->features, row->strong, 1});
    }
    return {fit_head(local, Loss::logistic), fit_head(frontier, Loss::logistic)};
}

OnlineFeatures features_of(const RouterRow& row, const Heads& prior) {
    OnlineFeatures out;
    keep_structural(row.features.structural, out);
    keep_words(row.features.buckets, out);
    out.prior = {static_cast<float>(prior.local.score(row.features)),
                 static_cast<float>(prior.frontier.score(row.features))};
    return out;
}

// The pairs kept back, and APGR on them of any number of scores at once.
class Kept {
public:
    Kept(const Rows& rows, const Heads& prior) : rows_(rows) {
        for (const RouterRow* row : rows) features_.push_back(features_of(*row, prior));
        std::map<std::uint64_t, std::vector<std::size_t>> clusters;
        for (std::size_t i = 0; i < rows.size(); ++i) clusters[rows[i]->cluster].push_back(i);
        for (auto& [cluster, members] : clusters) clusters_.push_back(std::move(members));
        for (std::size_t i = 0; i < rows.size(); ++i) all_.push_back(i);
    }

    template <class Score>
    std::vector<double> scores(Score score) const {
        std::vector<double> out;
        for (std::size_t i = 0; i < rows_.size(); ++i)
            out.push_back(score(*rows_[i], features_[i]));
        return out;
    }
    std::vector<double> gains(const OnlineWeights& weights) const {
        return scores([&](const RouterRow&, const OnlineFeatures& features) {
            return weights.gain(features);
        });
    }
    double apgr(const std::vector<double>& scores) const { return apgr_of(scores, all_); }

    // Of `scores`, less that of `than` on the same draws where it is given.
    ApgrInterval interval(const std::vector<double>& scores,
                          const std::vector<double>* than = nullptr) const {
        auto figure = [&](const std::vector<std::size_t>& at) {
            return apgr_of(scores, at) - (than == nullptr ? 0 : apgr_of(*than, at));
        };
        std::minstd_rand random(1);
        std::vector<double> drawn;
        for (int draw = 0; draw < draws; ++draw) {
            std::vector<std::size_t> at;
            for (std::size_t c = 0; c < clusters_.size(); ++c)
                for (std::size_t i : clusters_[random() % clusters_.size()]) at.push_back(i);
            drawn.push_back(figure(at));
        }
        std::sort(drawn.begin(), drawn.end());
        return {figure(all_), drawn[draws * 25 / 1'000], drawn[draws * 975 / 1'000]};
    }

private:
    double apgr_of(const std::vector<double>& scores, const std::vector<std::size_t>& at) const {
        std::vector<double> score, weak, strong;
        for (std::size_t i : at) {
            score.push_back(scores[i]);
            weak.push_back(rows_[i]->weak);
            strong.push_back(rows_[i]->strong);
        }
        return routing_figures(score, weak, strong).apgr;
    }

    const Rows& rows_;
    std::vector<OnlineFeatures> features_;
    std::vector<std::vector<std::size_t>> clusters_;
    std::vector<std::size_t> all_;
};

double random_share(std::mt19937_64& random) {
    return static_cast<double>(random() >> 11) * 0x1p-53;
}

// The outcomes that a label tells: of both tiers, or of the one that the champion, exploring a
// little near the threshold, sent it to.
OutcomeLabel label_of(const RouterRow& row, const Heads& prior, const Learner& learner,
                      double threshold, bool served_only, std::mt19937_64& random) {
    OutcomeLabel label;
    label.features = features_of(row, prior);
    if (!served_only) {
        label.local = row.weak;
        label.frontier = row.strong;
        return label;
    }
    OnlineWeights shipped;
    const auto& weights = learner.champion().weights;
    double gain = (weights ? *weights : shipped).gain(label.features);
    bool frontier = gain > threshold;
    if (std::abs(gain - threshold) <= band) {
        bool other = random_share(random) < explored;
        frontier = frontier != other;
        label.propensity = other ? explored : 1 - explored;
    }
    if (frontier)
        label.frontier = row.strong;
    else
        label.local = row.weak;
    return label;
}

double median_gain(const Rows& rows, const Heads& prior) {
    std::vector<double> gains;
    for (const RouterRow* row : rows) gains.push_back(prior.gain(*row));
    auto middle = gains.begin() + static_cast<std::ptrdiff_t>(gains.size() / 2);
    std::nth_element(gains.begin(), middle, gains.end());
    return *middle;
}

// Runs the stream; what stood worst on the way is kept with its scores.
struct Run {
    Learner learner;
    Rows labelled;
    std::vector<double> worst, champion_worst;  // scores at the worst look
    double worst_apgr = 2, champion_worst_apgr = 2;
};

void look(const Kept& kept, std::size_t labels, Run& run, LearningFigures& out) {
    OnlineWeights shipped;
    const auto& weights = run.learner.champion().weights;
    std::vector<double> challenger = kept.gains(run.learner.challenger().weights());
    std::vector<double> champion = kept.gains(weights ? *weights : shipped);
    LearningPoint point{labels, kept.apgr(challenger), kept.apgr(champion)};
    if (point.challenger < run.worst_apgr) {
        run.worst_apgr = point.challenger;
        run.worst = std::move(challenger);
        out.worst_at = labels;
    }
    if (point.champion < run.champion_worst_apgr) {
        run.champion_worst_apgr = point.champion;
        run.champion_worst = std::move(champion);
        out.champion_worst_at = labels;
    }
    out.points.push_back(point);
}

// Taken from the back.
void longest_first(Rows& rows) {
    std::stable_sort(rows.begin(), rows.end(), [](const RouterRow* a, const RouterRow* b) {
        return a->prompt.size() > b->prompt.size();
    });
}

Run run_stream(const Split& split, const Heads& prior, const Kept& kept,
               const LearningBenchOptions& options, LearningFigures& out) {
    LearnerOptions unlimited = options.learner;
    unlimited.key_labels_per_day = unlimited.team_labels_per_day = INT64_MAX;
    unlimited.question_labels_per_day = INT64_MAX;
    unlimited.key_share = unlimited.team_share = 1;
    Run run{Learner(unlimited), {}, {}, {}};
    std::mt19937_64 random(options.seed);
    double threshold = median_gain(split.stream, prior);
    Rows pass;
    for (out.requests = 0; out.requests < options.requests; ++out.requests) {
        if (pass.empty()) {
            pass = split.stream;
            std::shuffle(pass.begin(), pass.end(), random);
            if (options.drift) longest_first(pass);
        }
        const RouterRow* row = pass.back();
        pass.pop_back();
        if (out.requests % options.label_every != 0) continue;
        Learned learned = run.learner.learn(
            label_of(*row, prior, run.learner, threshold, options.served_only, random));
        run.labelled.push_back(row);
        if (learned == Learned::promoted && out.promoted_at == 0) out.promoted_at = out.labels + 1;
        if (++out.labels % look_every == 0) look(kept, out.labels, run, out);
    }
    return run;
}

LearningFigures measure_source(std::vector<RouterRow> rows, const std::string& source,
                               const LearningBenchOptions& options) {
    Split split = split_of(rows, source, options.split);
    standardise(rows, split.prior);
    Heads prior = fit(split.prior);
    Kept kept(split.kept, prior);
    LearningFigures out;
    out.source = source;
    out.prior_pairs = split.prior.size();
    out.stream_pairs = split.stream.size();
    out.kept_pairs = split.kept.size();
    Run run = run_stream(split, prior, kept, options, out);
    Heads offline = fit(run.labelled);

    std::mt19937_64 random(options.seed + 1);
    OnlineWeights shipped;
    const auto& champion = run.learner.champion().weights;
    std::vector<double> prior_scores = kept.gains(shipped);
    std::vector<double> learned = kept.gains(run.learner.challenger().weights());
    std::vector<double> offline_scores =
        kept.scores([&](const RouterRow& row, const OnlineFeatures&) { return offline.gain(row); });
    out.random = kept.interval(
        kept.scores([&](const RouterRow&, const OnlineFeatures&) { return random_share(random); }));
    out.length = kept.interval(kept.scores([](const RouterRow& row, const OnlineFeatures&) {
        return static_cast<double>(row.prompt.size());
    }));
    out.prior = kept.interval(prior_scores);
    out.challenger = kept.interval(learned);
    std::vector<double> served = kept.gains(champion ? *champion : shipped);
    out.champion = kept.interval(served);
    out.champion_less_offline = kept.interval(served, &offline_scores);
    out.offline = kept.interval(offline_scores);
    out.challenger_less_offline = kept.interval(learned, &offline_scores);
    if (!run.worst.empty()) {
        out.worst_less_prior = kept.interval(run.worst, &prior_scores);
        out.champion_worst_less_prior = kept.interval(run.champion_worst, &prior_scores);
    }
    out.promotions = run.learner.promotions();
    out.rollbacks = run.learner.rollbacks();
    out.shares = run.learner.challenger().shares();
    return out;
}

}  // namespace

std::vector<LearningFigures> measure_learning(RouterData data,
                                              const LearningBenchOptions& options) {
    std::map<std::string, std::size_t> pairs;
    for (const RouterRow& row : data.rows)
        if (row.paired && std::max(row.weak, row.strong) <= 1) ++pairs[row.source];
    std::vector<LearningFigures> out;
    std::size_t large = 0;
    for (const auto& [source, count] : pairs) {
        if (count < options.pairs_min) continue;
        ++large;
        if (pairs.size() > 1) out.push_back(measure_source(data.rows, source, options));
    }
    if (large > 0) out.push_back(measure_source(data.rows, std::string(mixed), options));
    return out;
}

}  // namespace sluice
