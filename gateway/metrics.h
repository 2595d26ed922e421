// Everything that is counted, under the names of this file's .cc: OpenTelemetry's gen_ai_* for what
// they cover, sluice_* for the rest. Any thread; counting takes no lock of ours after a thread has
// seen a combination of labels once. Every label is bounded: beyond 256 values it says "other".
// Money becomes floating point here and in reports only; the ledger is exact.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "gateway/ledger_entry.h"

namespace sluice {

// What is read at the moment of a scrape rather than counted.
struct MetricsGauges {
    std::size_t ledger_queue_entries = 0;
    std::vector<std::pair<std::string_view, bool>> upstream_up;
    std::optional<Occupancy> engine;
    Money gpu_hour;  // what an hour of the engine's machine costs
    Money held;      // promised to requests in flight
    struct Budget {
        std::string scope;
        Money limit, spent, held;
    };
    std::vector<Budget> budgets;
    struct PolicyNow {
        std::string version, owner, role;  // role: live, canary, shadow
    };
    std::vector<PolicyNow> policies;
    std::size_t policy_damage = 0;  // files and lines of what is kept: /admin/policy names them
    // What learning did since the start, and where it is.
    struct LearningNow {
        struct Feedback {
            std::string kind, result;
            std::uint64_t count = 0;
        };
        struct Value {
            std::string of, bound;
            double value = 0;
        };
        std::vector<Feedback> feedback;
        std::vector<std::pair<std::string, std::uint64_t>> shadow;  // by result
        std::uint64_t explored = 0;
        double shadow_cost_usd = 0;
        double champion_version = 0;
        std::vector<Value> labels, advantages;
    };
    std::optional<LearningNow> learning;
    bool paced = false;  // the next two say something
    double pace_shift = 0;
    double pace_forecast = 0;
};

class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // One settled attempt: requests (of answered ones), tokens, cost, baseline, durations.
    void count(const LedgerEntry& entry);
    // A request that ended in an error, also those that never reached an upstream. `tier` and
    // `team` may be empty: not known by then.
    void count_refusal(std::string_view tier, std::string_view team, std::string_view outcome);
    void count_fallback(std::string_view from, std::string_view to, std::string_view reason);
    void count_usage_missing(std::string_view upstream);
    void count_price_unknown(std::string_view upstream);
    void count_reload(bool good);
    // A request that was decided by the policy of this version.
    void count_policy(std::string_view version);
    // What the live policy chose and what a candidate in the shadow did: tiers, or "refused".
    void count_beside(std::string_view version, std::string_view from, std::string_view to);
    void observe_route(std::string_view tier, std::string_view rule,
                       std::chrono::steady_clock::duration took);

    // The Prometheus text exposition.
    std::string text(const MetricsGauges& gauges);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice
