// One run of a golden set: every case asked of every tier, scored, and put together. First all
// answers, then those that text or running code decides, then the judge.
//
// One thread; blocks until it is done or stopped.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gateway/eval/asker.h"
#include "policies/golden/result.h"
#include "policies/golden/score.h"

namespace sluice {

// One answer and what came of it.
struct ScoredAnswer {
    Said said;
    std::optional<double> score;
    std::string why;    // not right, for people
    std::string error;  // a kind, where there is no score
};

struct EvaluationOptions {
    bool keep_texts = false;
};

// Says what is done: a phase's name, how many of how many.
using Progress = std::function<void(const char* phase, std::size_t done, std::size_t of)>;

class Evaluation {
public:
    // The asker has the tiers to compare, and behind them the judge's where the set asks one.
    Evaluation(const GoldenSet& set, Asker& asker, std::size_t tiers, EvaluationOptions options);
    void run(const Progress& progress);

    // Parallel to the tiers; upstream and identity are the caller's to fill in.
    std::vector<MeasuredTier> measured() const;
    Money judge_cost() const { return judge_cost_; }
    std::size_t judge_calls() const { return judge_calls_; }
    // In words, of tier `tier` on case `index`: why it is not right, or which error it had; or "".
    std::string why(std::size_t tier, std::size_t index) const;

private:
    std::size_t place(std::size_t tier, std::size_t index, int repeat) const;
    void ask(const Progress& progress);
    void score(const Progress& progress);
    void judge(const Progress& progress);
    void grade_answers(const std::vector<std::size_t>& places, const std::vector<Said>& said);
    void prefer_answers(const std::vector<std::size_t>& places, const std::vector<Said>& said);
    std::vector<Said> ask_judge(const std::vector<Question>& questions, const char* phase,
                                const Progress& progress);

    const GoldenSet& set_;
    Asker& asker_;
    std::size_t tiers_;
    EvaluationOptions options_;
    std::vector<std::size_t> first_;      // of each case, in one tier's answers
    std::size_t answers_ = 0;             // of one tier
    std::vector<ScoredAnswer> answered_;  // tier by tier
    Money judge_cost_;
    std::size_t judge_calls_ = 0;
};

}  // namespace sluice
