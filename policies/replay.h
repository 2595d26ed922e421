// A candidate policy over recorded traffic: what it would have cost, who would have gone elsewhere,
// how much longer or better that would have been. Figures of requests that stay where they were are
// the recorded ones; of those that move they are estimates, see Replay::finish. Pure; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policies/dollars.h"
#include "policies/route.h"

namespace sluice {

// One recorded request, all its attempts together. Views last for one add().
struct RecordedRequest {
    const Caller* caller = nullptr;
    std::string_view model_asked;
    std::string_view policy_version;  // that decided
    std::string_view cluster;         // what hangs together: the session, else the request
    std::string_view tier;            // of its first attempt
    std::string_view upstream;        // of the attempt that answered
    std::string_view decision;        // bytes of the decision record; may be empty
    bool answered = false;
    double difficulty = 0;
    Usage usage;  // of the attempt that answered
    Money cost;   // of all attempts
    std::int64_t started_unix_ms = 0;
    std::int64_t first_token_us = 0;  // from the attempt's own start; 0 = whole answers
    std::int64_t duration_us = 0;     // of the attempt that answered
};

struct Interval {
    PicoSum low = 0, high = 0;  // 95 %, bootstrap over clusters
};

// Requests and dollars of a tier or a team, recorded and under the new policy.
struct ReplayLine {
    std::string name;
    std::int64_t recorded_requests = 0, new_requests = 0;
    PicoSum recorded = 0, would = 0;
    Interval change;  // of would - recorded
};

// Of those who move, a team's by one rule of the new policy.
struct ReplayMover {
    std::string team;
    std::string rule;  // "" of refused ones, and with `team` of all that are not listed
    std::int64_t requests = 0;
    PicoSum change = 0;
};

struct ReplayMove {
    std::string from, to;  // "" to: refused
    std::int64_t requests = 0;
    PicoSum change = 0;
    std::vector<ReplayMover> movers;  // the most requests first, at most movers_max and the rest
    std::int64_t others = 0;          // teams and rules in the last of them, where it is the rest
};
constexpr std::size_t movers_max = 10;

struct ReplayReport {
    std::int64_t requests = 0;    // answered ones: those that are compared
    std::int64_t rescored = 0;    // of them, by their recorded features and what was learned
    std::int64_t unanswered = 0;  // left out
    std::int64_t refused = 0;     // by the new policy
    std::int64_t moved = 0;       // to another tier
    ReplayLine total;
    std::vector<ReplayLine> tiers, teams;
    std::vector<ReplayMove> moves;                 // the most requests first
    double recorded_seconds = 0, new_seconds = 0;  // mean of a request
    double recorded_ok = 0, new_ok = 0;  // mean p(ok), by the classifier: an estimate on both sides
    std::vector<std::string> notes;      // what was missing and what was used instead
};

// What requests are scored anew by, where their features are on record.
struct ReplayScoring {
    std::uint32_t classifier = 0;            // classifier_mark; 0: they keep their recorded scores
    const OnlineWeights* learned = nullptr;  // null: the shipped prior
};

class Replay {
public:
    // `upstreams` with their prices; those of the policy that are not among them are left out. The
    // price of `unpriced` ones is not known: who moves there is booked at what it cost.
    Replay(const Policy& policy, const std::vector<Upstream>& upstreams,
           const std::vector<Upstream>& unpriced = {}, ReplayScoring scoring = {});
    ~Replay();
    // False, and nothing done, for a request that names no tier of the policy and so cannot be
    // compared: it is counted in the notes.
    void add(const RecordedRequest& request);
    ReplayReport finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
