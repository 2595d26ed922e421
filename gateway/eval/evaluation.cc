#include "gateway/eval/evaluation.h"

#include <algorithm>

#include "gateway/eval/code_run.h"
#include "policies/golden/judge.h"
#include "providers/error_table.h"

namespace sluice {
namespace {

void set_error(ScoredAnswer& answer, std::string kind, std::string why) {
    answer.score.reset();
    answer.error = std::move(kind);
    answer.why = std::move(why);
}

bool waits_for_judge(const GoldenCase& one, const ScoredAnswer& answer) {
    return std::holds_alternative<JudgeScorer>(one.scorer) && answer.error.empty() &&
           answer.said.left_out.empty();
}

std::int64_t median(std::vector<std::int64_t> values) {
    if (values.empty()) return 0;
    auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

}  // namespace

Evaluation::Evaluation(const GoldenSet& set, Asker& asker, std::size_t tiers,
                       EvaluationOptions options)
    : set_(set), asker_(asker), tiers_(tiers), options_(options) {
    for (const GoldenCase& one : set.cases) {
        first_.push_back(answers_);
        answers_ += static_cast<std::size_t>(one.repeats);
    }
    answered_.resize(answers_ * tiers);
}

std::size_t Evaluation::place(std::size_t tier, std::size_t index, int repeat) const {
    return tier * answers_ + first_[index] + static_cast<std::size_t>(repeat);
}

void Evaluation::run(const Progress& progress) {
    ask(progress);
    score(progress);
    judge(progress);
}

void Evaluation::ask(const Progress& progress) {
    std::vector<Question> questions;
    std::vector<std::size_t> places;
    for (std::size_t index = 0; index < set_.cases.size(); ++index) {
        const GoldenCase& one = set_.cases[index];
        Question question;
        question.about = &one;
        question.chat.messages = one.messages;
        question.chat.max_tokens = one.max_tokens;
        question.chat.temperature = one.temperature;
        for (int repeat = 0; repeat < one.repeats; ++repeat)
            for (question.tier = 0; question.tier < tiers_; ++question.tier) {
                questions.push_back(question);
                places.push_back(place(question.tier, index, repeat));
            }
    }
    auto said = asker_.ask_all(
        questions, [&](std::size_t done) { progress("answers", done, questions.size()); });
    for (std::size_t i = 0; i < said.size(); ++i) {
        ScoredAnswer& answer = answered_[places[i]];
        answer.said = std::move(said[i]);
        if (answer.said.failure)
            set_error(answer, std::string(errc_name(answer.said.failure->code)),
                      answer.said.failure->message);
    }
}

void Evaluation::score(const Progress& progress) {
    for (std::size_t tier = 0; tier < tiers_; ++tier)
        for (std::size_t index = 0; index < set_.cases.size(); ++index) {
            const GoldenCase& one = set_.cases[index];
            for (int repeat = 0; repeat < one.repeats; ++repeat) {
                ScoredAnswer& answer = answered_[place(tier, index, repeat)];
                if (!answer.error.empty() || !answer.said.left_out.empty()) continue;
                if (asker_.stop_asked()) return;
                Result<Score> found{Score{}};
                if (auto* code = std::get_if<CodeScorer>(&one.scorer))
                    found = score_code(*code, answer.said.text);
                else if (auto plain = score_text(one.scorer, answer.said.text))
                    found = *plain;
                else
                    continue;  // the judge's
                if (!found) {
                    set_error(answer, "code_not_run", found.error().message);
                    continue;
                }
                answer.score = found->value;
                answer.why = found->why;
            }
            if (std::holds_alternative<CodeScorer>(one.scorer))
                progress("code", tier * set_.cases.size() + index + 1, tiers_ * set_.cases.size());
        }
}

std::vector<Said> Evaluation::ask_judge(const std::vector<Question>& questions, const char* phase,
                                        const Progress& progress) {
    auto said = asker_.ask_all(questions,
                               [&](std::size_t done) { progress(phase, done, questions.size()); });
    judge_calls_ += said.size();
    for (const Said& one : said) judge_cost_ += one.cost;
    return said;
}

// What the judge said, or the kind of error for which it said nothing, in `error`.
static std::optional<std::string> heard(const Said& said, std::string& error, std::string& why) {
    if (said.failure) {
        error = "judge_" + std::string(errc_name(said.failure->code));
        why = said.failure->message;
        return {};
    }
    if (!said.left_out.empty()) {
        error = "judge_not_allowed";
        why = said.left_out;
        return {};
    }
    return said.text;
}

void Evaluation::judge(const Progress& progress) {
    std::vector<Question> grades, preferences;
    std::vector<std::size_t> graded, preferred;
    for (std::size_t tier = 0; tier < tiers_; ++tier)
        for (std::size_t index = 0; index < set_.cases.size(); ++index) {
            const GoldenCase& one = set_.cases[index];
            auto* how = std::get_if<JudgeScorer>(&one.scorer);
            for (int repeat = 0; how != nullptr && repeat < one.repeats; ++repeat) {
                std::size_t here = place(tier, index, repeat);
                ScoredAnswer& answer = answered_[here];
                if (!waits_for_judge(one, answer)) continue;
                const std::string& rubric = how->rubric;
                Question question;
                question.tier = tiers_;  // the judge's
                question.about = &one;
                if (!how->compare) {
                    question.chat =
                        grade_request(one, rubric, answer.said.text, set_.judge.max_tokens);
                    grades.push_back(question);
                    graded.push_back(here);
                    continue;
                }
                const ScoredAnswer& base = answered_[place(0, index, repeat)];
                if (tier == 0) {
                    answer.score = 0.5;  // the measure of the others
                } else if (!waits_for_judge(one, base)) {
                    set_error(answer, "nothing_to_compare", "the first tier gave no answer");
                } else {
                    question.chat = preference_request(one, rubric, base.said.text,
                                                       answer.said.text, set_.judge.max_tokens);
                    preferences.push_back(question);
                    question.chat = preference_request(one, rubric, answer.said.text,
                                                       base.said.text, set_.judge.max_tokens);
                    preferences.push_back(question);
                    preferred.push_back(here);
                }
            }
        }
    if (!grades.empty()) grade_answers(graded, ask_judge(grades, "grades", progress));
    if (!preferences.empty())
        prefer_answers(preferred, ask_judge(preferences, "comparisons", progress));
}

void Evaluation::grade_answers(const std::vector<std::size_t>& places,
                               const std::vector<Said>& said) {
    for (std::size_t i = 0; i < places.size(); ++i) {
        ScoredAnswer& answer = answered_[places[i]];
        auto words = heard(said[i], answer.error, answer.why);
        if (!words) continue;
        answer.score = read_grade(*words);
        if (!answer.score)
            set_error(answer, "judge_unreadable", "the judge gave no line GRADE: 1 to 5");
        else if (*answer.score < 1)
            answer.why = "grade " + std::to_string(static_cast<int>(*answer.score * 4) + 1);
    }
}

void Evaluation::prefer_answers(const std::vector<std::size_t>& places,
                                const std::vector<Said>& said) {
    for (std::size_t i = 0; i < places.size(); ++i) {
        ScoredAnswer& answer = answered_[places[i]];
        std::optional<Preference> both[2];
        for (std::size_t order = 0; order < 2 && answer.error.empty(); ++order) {
            auto words = heard(said[2 * i + order], answer.error, answer.why);
            if (words) both[order] = read_preference(*words);
            if (words && !both[order])
                set_error(answer, "judge_unreadable",
                          "the judge gave no line VERDICT: A, B or TIE");
        }
        if (!both[0] || !both[1]) continue;
        answer.score = agreed(*both[0], *both[1]);
        if (*answer.score < 0.5) answer.why = "worse than the first tier's, in both orders";
    }
}

std::vector<MeasuredTier> Evaluation::measured() const {
    std::vector<MeasuredTier> out(tiers_);
    for (std::size_t tier = 0; tier < tiers_; ++tier) {
        MeasuredTier& one = out[tier];
        one.tier = asker_.tiers()[tier].name;
        one.upstream = asker_.tiers()[tier].upstream->name;
        std::vector<std::int64_t> durations;
        for (std::size_t index = 0; index < set_.cases.size(); ++index) {
            double sum = 0;
            int scored = 0, repeats = set_.cases[index].repeats;
            bool left_out = false;
            for (int repeat = 0; repeat < repeats; ++repeat) {
                const ScoredAnswer& answer = answered_[place(tier, index, repeat)];
                one.cost += answer.said.cost;
                if (!answer.error.empty()) ++one.errors[answer.error];
                left_out = left_out || !answer.said.left_out.empty();
                if (!answer.said.failure && !left_out) durations.push_back(answer.said.duration_ms);
                sum += answer.score.value_or(0);
                scored += answer.score ? 1 : 0;
            }
            if (left_out) ++one.left_out;
            bool whole = scored == repeats;
            one.scores.push_back(whole ? std::optional<double>(sum / repeats) : std::nullopt);
            if (options_.keep_texts)
                one.texts.push_back(answered_[place(tier, index, 0)].said.text);
        }
        one.median_ms = median(std::move(durations));
    }
    return out;
}

std::string Evaluation::why(std::size_t tier, std::size_t index) const {
    for (int repeat = 0; repeat < set_.cases[index].repeats; ++repeat) {
        const ScoredAnswer& answer = answered_[place(tier, index, repeat)];
        if (!answer.error.empty()) return answer.error + ": " + answer.why;
        if (!answer.said.left_out.empty()) return "left out: " + answer.said.left_out;
        if (!answer.why.empty()) return answer.why;
    }
    return "";
}

}  // namespace sluice
