// What the router learns while it serves: the answers that may still be judged, the learner, and
// its file. Exists only where the configuration has a section `learning`.
//
// Any thread may call it. What decides is an immutable snapshot. The learner itself is under a
// mutex that no chat request takes: outcomes do, and administrators; a label is some 0.2 ms of
// work. The file is written whole beside the old one and renamed, once a second where something
// changed: a killed process loses a second of labels and never the file.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "gateway/learning/learning_section.h"
#include "gateway/learning/past_answer.h"
#include "gateway/learning/published.h"
#include "gateway/learning/recent.h"
#include "gateway/learning/shadow.h"
#include "gateway/learning/state_file.h"
#include "gateway/ledger.h"
#include "gateway/metrics.h"
#include "policies/learner.h"
#include "policies/policy.h"

namespace sluice {

// What an outcome says. The first four come from callers.
enum class OutcomeKind : std::uint8_t {
    thumb,
    score,
    label,
    schema,       // the answer fits the JSON schema that was asked for, or does not
    tool_call,    // its tool calls' arguments are JSON, or not
    regenerated,  // the same was asked again at once; recorded, never learned from
    cut_thought,  // the answer ended within its thought; likewise
    shadow,       // judged beside the next tier's answer
};
std::string_view outcome_kind_name(OutcomeKind kind);

struct OutcomeNoted {
    enum class What { unknown, already, noted };
    What what = What::unknown;
    Learned learned = Learned::yes;
    bool forgotten = false;  // found in the ledger only: nothing is left to learn from
    Outcome row;             // for the ledger, when it is noted
};

// An answer and the next tier's to the same request: whether each was right, and the tiers'
// strengths.
struct ShadowPair {
    double answered_ok = 0, next_ok = 0;
    bool tie = false;  // neither is better: says nothing of how good they are
    double answered_strength = 0, next_strength = 1;
};

class Learning {
public:
    // A damaged or foreign file is told in the log, kept beside as FILE.refused (.refused.2, and so
    // on: none is replaced), and the shipped prior serves. Where the classifier only stands in for
    // weights that cannot be read, the file is neither read nor written. Errors: bad_file where the
    // file or its folder cannot be written, or another process learns into it.
    static Result<std::unique_ptr<Learning>> open(const LearningSection& section,
                                                  const std::string& classifier,
                                                  const LearningPolicy& policy);
    ~Learning();

    // What decides; null: the shipped prior.
    std::shared_ptr<const OnlineWeights> champion() const { return decides_.load(); }

    void remember(const Answered& answer);
    // The request_id of an answer of the last two minutes to the same question, or "".
    std::string asked_before(std::uint64_t question, const Answered& now);
    // A further outcome of the caller's team's own request; `ok` 0 .. 1.
    OutcomeNoted note(const Caller& caller, std::string_view request_id, OutcomeKind kind,
                      double ok);
    // Likewise of an answer that only the ledger knows still.
    OutcomeNoted note_past(const Caller& caller, const std::string& request_id, OutcomeKind kind,
                           double ok, const PastAnswer& answer);
    // Both tiers' answers to one request were judged.
    Outcome learn_pair(const Caller& caller, const OnlineFeatures& features,
                       const ShadowPair& pair);

    // What became of an outcome; the names in report.cc are in this order.
    enum class Became : std::uint8_t {
        learned,
        kept,
        over_allowance,
        already,
        unknown,
        too_long,  // to be looked into: says nothing
    };
    void count(OutcomeKind kind, Became became);
    void count_malformed() { malformed_.fetch_add(1, std::memory_order_relaxed); }

    void set_policy(const LearningPolicy& policy);  // at start and reload
    std::string report() const;                     // JSON, for administrators
    MetricsGauges::LearningNow now() const;         // for a scrape
    std::string export_state() const;
    // What was exported, as the challenger's and champion's place; the one that decided before is
    // the one to roll back to. Errors: bad_file.
    Status import_state(std::string_view bytes);
    bool roll_back(bool shipped);
    void save_if_changed();

    Shadow shadow;
    PastAnswers past;

private:
    explicit Learning(const LearningSection& section, std::string classifier);
    Learned learn(const OutcomeLabel& label, OutcomeKind kind);
    void publish();
    Status save();
    Status put_aside() const;

    LearningSection section_;
    std::string classifier_;
    const bool stands_in_;  // for weights that cannot be read: nothing is kept
    RecentAnswers recent_;
    Published<OnlineWeights> decides_;
    std::atomic<std::uint64_t> forgotten_{0}, explored_{0}, malformed_{0};
    static constexpr std::size_t kinds = 8, becomes = 6;
    std::array<std::array<std::atomic<std::uint64_t>, becomes>, kinds> outcomes_{};
    struct Asked {  // a reader that sees halves of two finds no such answer
        std::atomic<std::uint64_t> question{0}, mark{0};
        std::atomic<std::int64_t> at_unix_ms{0};
    };
    static constexpr std::size_t asked_places = 16'384;
    std::unique_ptr<std::array<Asked, asked_places>> asked_;
    std::unique_ptr<StateLock> lock_;
    mutable std::mutex mutex_;  // of what follows
    Learner learner_;
    std::array<std::uint64_t, kinds> noted_{};
    std::uint64_t over_allowance_ = 0;
    std::string refused_;  // why the file was not used
    bool changed_ = false;
    bool saving_ = false;
    std::string save_fault_;
    std::uint64_t saves_ = 0;
};

}  // namespace sluice
