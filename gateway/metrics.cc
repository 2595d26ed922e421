#include "gateway/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <unordered_map>

#include "gateway/engine_metrics.h"
#include "gateway/metric_buckets.h"
#include "gateway/metric_families.h"

namespace sluice {
namespace {

constexpr double pico = 1e-12;
constexpr std::size_t values_max = 256;

// The counters of one (tier, upstream, team, ...) once resolved.
struct AttemptSeries {
    prometheus::Counter* requests = nullptr;
    prometheus::Counter* cost = nullptr;
    prometheus::Counter* baseline = nullptr;
    prometheus::Counter* kinds[6] = {};  // in the order of the Usage's counters
    prometheus::Histogram* input = nullptr;
    prometheus::Histogram* output = nullptr;
    prometheus::Histogram* duration = nullptr;
    prometheus::Histogram* first_token = nullptr;
    prometheus::Histogram* per_token = nullptr;
};

constexpr const char* kind_names[6] = {"in_uncached",       "in_cache_read", "in_cache_write",
                                       "in_cache_write_1h", "out_text",      "out_reasoning"};

std::string joined(std::initializer_list<std::string_view> parts) {
    std::string key;
    key.reserve(128);
    for (std::string_view part : parts) {
        key += part;
        key += '\x1f';
    }
    return key;
}

}  // namespace

struct Metrics::State {
    prometheus::Registry registry;
    std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
    std::mutex mutex;  // of `seen`; taken once for a thread's new label combination
    std::unordered_map<std::string, std::set<std::string, std::less<>>> seen;

    Counters& requests = counters(registry, "sluice_requests_total", "Requests by outcome");
    Counters& token_kinds = counters(registry, "sluice_tokens_total", "Billed tokens by kind");
    Counters& cost = counters(registry, "sluice_cost_usd_total", "Cost of all attempts");
    Counters& baseline = counters(registry, "sluice_baseline_cost_usd_total",
                                  "The answered tokens at the baseline tier's price");
    Counters& decisions = counters(registry, "sluice_routing_decisions_total", "Routes chosen");
    Counters& fallbacks = counters(registry, "sluice_fallbacks_total", "Attempts after an error");
    Counters& usage_missing =
        counters(registry, "sluice_usage_missing_total", "Answers without usage, counted by us");
    Counters& price_unknown =
        counters(registry, "sluice_price_unknown_total",
                 "Attempts with longer prompts than the price is known for, at the last known");
    Counters& by_policy = counters(registry, "sluice_policy_requests_total",
                                   "Requests called upstream, by the policy that decided");
    Counters& beside =
        counters(registry, "sluice_policy_shadow_decisions_total",
                 "What the live policy chose and what the candidate in the shadow would");
    Counters& reloads = counters(registry, "sluice_config_reloads_total", "Reloads by result");
    Histograms& routing =
        histograms(registry, "sluice_routing_seconds", "Classifying and choosing the route");
    Histograms& token_usage =
        histograms(registry, "gen_ai_client_token_usage", "Tokens a request, by type");
    Histograms& duration =
        histograms(registry, "gen_ai_server_request_duration_seconds", "Duration of an attempt");
    Histograms& first_token = histograms(registry, "gen_ai_server_time_to_first_token_seconds",
                                         "From the request's arrival to its first answer delta");
    Histograms& per_token = histograms(registry, "gen_ai_server_time_per_output_token_seconds",
                                       "After the first one, streams only");
    Gauges& up = gauges_of(registry, "sluice_upstream_up", "1 = called, 0 = resting");
    Gauges& queue = gauges_of(registry, "sluice_ledger_queue_entries", "Rows not yet committed");
    Gauges& local_price = gauges_of(registry, "sluice_local_usd_per_mtok",
                                    "GPU hours over tokens really produced since the start");
    EngineMetrics local{registry};

    // `value`, or "other" once the label has had values_max different ones.
    std::string bounded(const char* label, std::string_view value) {
        std::lock_guard lock(mutex);
        auto& values = seen[label];
        if (values.contains(value)) return std::string(value);
        if (values.size() >= values_max) return "other";
        values.emplace(value);
        return std::string(value);
    }
    // A counter by the values of its labels, remembered by the thread: only a combination that is
    // new to it takes a lock. One place of call, one memory.
    template <class Make>
    prometheus::Counter& remembered(std::string key, const Make& make) {
        static thread_local std::unordered_map<std::string, prometheus::Counter*> cache;
        static thread_local const State* owner = nullptr;
        if (owner != this || cache.size() >= 4096) cache.clear();  // counters live in the registry
        owner = this;
        auto found = cache.find(key);
        if (found == cache.end()) found = cache.emplace(std::move(key), &make()).first;
        return *found->second;
    }
    void count_of(Counters& family, std::string_view upstream) {
        auto make = [&]() -> prometheus::Counter& {
            return family.Add({{"upstream", bounded("upstream", upstream)}});
        };
        remembered(joined({family.GetName(), upstream}), make).Increment();
    }
    AttemptSeries resolve(const LedgerEntry& entry);
    AttemptSeries& attempt_series(const LedgerEntry& entry);
    // The engine counts for itself; a scrape brings the counter up to what it says.
    void set_engine(const MetricsGauges& gauges);
};

AttemptSeries Metrics::State::resolve(const LedgerEntry& entry) {
    std::string tier = bounded("tier", entry.tier);
    std::string upstream = bounded("upstream", entry.upstream);
    std::string team = bounded("team", entry.caller.team);
    std::string model = bounded("model", entry.model);
    std::string asked = bounded("model_asked", entry.model_asked);
    LabelSet place{{"tier", tier}, {"upstream", upstream}, {"team", team}};
    AttemptSeries series;
    LabelSet outcome = place;
    outcome["outcome"] = entry.outcome;
    if (entry.answered) series.requests = &requests.Add(outcome);
    series.cost = &cost.Add(place);
    series.baseline = &baseline.Add({{"team", team}});
    for (int i = 0; i < 6; ++i) {
        LabelSet kind = place;
        kind["kind"] = kind_names[i];
        series.kinds[i] = &token_kinds.Add(kind);
    }
    LabelSet call{{"gen_ai_operation_name", "chat"},
                  {"gen_ai_provider_name", bounded("vendor", entry.vendor)},
                  {"gen_ai_request_model", asked},
                  {"gen_ai_response_model", model},
                  {"tier", tier}};
    LabelSet typed = call;
    typed["gen_ai_token_type"] = "input";
    series.input = &token_usage.Add(typed, tokens);
    typed["gen_ai_token_type"] = "output";
    series.output = &token_usage.Add(typed, tokens);
    if (entry.outcome != "ok") call["error_type"] = entry.outcome;
    series.duration = &duration.Add(call, duration_s);
    series.first_token = &first_token.Add(call, first_token_s);
    series.per_token = &per_token.Add(call, per_token_s);
    return series;
}

AttemptSeries& Metrics::State::attempt_series(const LedgerEntry& entry) {
    // Per thread, so that looking up needs no lock; keyed by this State too, for the tests' sake.
    static thread_local std::unordered_map<std::string, AttemptSeries> cache;
    static thread_local const State* owner = nullptr;
    if (owner != this) {
        cache.clear();
        owner = this;
    }
    std::string key = joined({entry.tier, entry.upstream, entry.caller.team, entry.model_asked,
                              entry.outcome, entry.answered ? "1" : "0"});
    auto found = cache.find(key);
    if (found == cache.end()) {
        if (cache.size() >= 4096) cache.clear();  // series live on in the registry
        found = cache.emplace(std::move(key), resolve(entry)).first;
    }
    return found->second;
}

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

void Metrics::count(const LedgerEntry& entry) {
    AttemptSeries& series = state_->attempt_series(entry);
    const Usage& usage = entry.usage;
    if (series.requests != nullptr) series.requests->Increment();
    series.cost->Increment(static_cast<double>(entry.cost.pico_usd) * pico);
    series.baseline->Increment(static_cast<double>(entry.baseline.pico_usd) * pico);
    const std::int64_t counts[6] = {usage.in_uncached,    usage.in_cache_read,
                                    usage.in_cache_write, usage.in_cache_write_1h,
                                    usage.out_text,       usage.out_reasoning};
    for (int i = 0; i < 6; ++i)
        if (counts[i] > 0) series.kinds[i]->Increment(static_cast<double>(counts[i]));
    series.duration->Observe(static_cast<double>(entry.duration_us) * 1e-6);
    if (!entry.answered) return;
    series.input->Observe(static_cast<double>(usage.input()));
    series.output->Observe(static_cast<double>(usage.output()));
    if (entry.first_token_us == 0) return;
    series.first_token->Observe(static_cast<double>(entry.first_token_us) * 1e-6);
    auto after_first = static_cast<double>(entry.duration_us - entry.first_token_us) * 1e-6;
    if (entry.stream && usage.output() > 1 && after_first > 0)
        series.per_token->Observe(after_first / static_cast<double>(usage.output() - 1));
}

void Metrics::count_refusal(std::string_view tier, std::string_view team,
                            std::string_view outcome) {
    auto make = [&]() -> prometheus::Counter& {
        LabelSet labels{{"tier", state_->bounded("tier", tier)},
                        {"upstream", ""},
                        {"team", state_->bounded("team", team)},
                        {"outcome", std::string(outcome)}};
        return state_->requests.Add(labels);
    };
    state_->remembered(joined({tier, team, outcome}), make).Increment();
}

void Metrics::count_fallback(std::string_view from, std::string_view to, std::string_view reason) {
    auto make = [&]() -> prometheus::Counter& {
        LabelSet labels{{"from", state_->bounded("upstream", from)},
                        {"to", state_->bounded("upstream", to)},
                        {"reason", std::string(reason)}};
        return state_->fallbacks.Add(labels);
    };
    state_->remembered(joined({from, to, reason}), make).Increment();
}

void Metrics::count_price_unknown(std::string_view upstream) {
    state_->count_of(state_->price_unknown, upstream);
}
void Metrics::count_usage_missing(std::string_view upstream) {
    state_->count_of(state_->usage_missing, upstream);
}

void Metrics::count_policy(std::string_view version) {
    auto make = [&]() -> prometheus::Counter& {
        return state_->by_policy.Add({{"version", state_->bounded("version", version)}});
    };
    state_->remembered(std::string(version), make).Increment();
}

void Metrics::count_beside(std::string_view version, std::string_view from, std::string_view to) {
    auto make = [&]() -> prometheus::Counter& {
        LabelSet labels{{"version", state_->bounded("version", version)},
                        {"from", state_->bounded("tier", from)},
                        {"to", state_->bounded("tier", to)}};
        return state_->beside.Add(labels);
    };
    state_->remembered(joined({version, from, to}), make).Increment();
}

void Metrics::count_reload(bool good) {
    state_->reloads.Add({{"result", good ? "good" : "refused"}}).Increment();
}

void Metrics::observe_route(std::string_view tier, std::string_view rule,
                            std::chrono::steady_clock::duration took) {
    static thread_local std::unordered_map<std::string, prometheus::Counter*> cache;
    static thread_local const State* owner = nullptr;
    static thread_local prometheus::Histogram* seconds = nullptr;
    if (owner != state_.get()) {
        cache.clear();
        owner = state_.get();
        seconds = &state_->routing.Add({}, routing_s);
    }
    std::string key = joined({tier, rule});
    auto found = cache.find(key);
    if (found == cache.end()) {
        if (cache.size() >= 4096) cache.clear();
        LabelSet labels{{"tier", state_->bounded("tier", tier)},
                        {"rule", state_->bounded("rule", rule)}};
        found = cache.emplace(std::move(key), &state_->decisions.Add(labels)).first;
    }
    found->second->Increment();
    seconds->Observe(std::chrono::duration<double>(took).count());
}

void Metrics::State::set_engine(const MetricsGauges& gauges) {
    const Occupancy& now = *gauges.engine;
    local.set(now);
    auto up_for = std::chrono::steady_clock::now() - started;
    double hours = std::chrono::duration<double>(up_for).count() / 3600.0;
    double hour_usd = static_cast<double>(gauges.gpu_hour.pico_usd) * pico;
    auto made = static_cast<double>(now.generated_tokens_total);
    if (made > 0) local_price.Add({{"kind", "average"}}).Set(hour_usd * hours / made * 1e6);
    if (now.tokens_per_second > 0)
        local_price.Add({{"kind", "marginal"}})
            .Set(hour_usd / 3600.0 / now.tokens_per_second * 1e6);
}

void add_learning(prometheus::Registry& registry, const MetricsGauges::LearningNow& now) {
    auto count = [&](const char* name, const char* help, const LabelSet& labels, auto value) {
        counters(registry, name, help).Add(labels).Increment(static_cast<double>(value));
    };
    auto level = [&](const char* name, const char* help, const LabelSet& labels, double value) {
        gauges_of(registry, name, help).Add(labels).Set(value);
    };
    for (const auto& [kind, result, value] : now.feedback)
        count("sluice_feedback_total", "By result", {{"kind", kind}, {"result", result}}, value);
    for (const auto& [result, value] : now.shadow)
        count("sluice_shadow_answers_total", "By result", {{"result", result}}, value);
    count("sluice_shadow_cost_usd_total", "With their judging", {}, now.shadow_cost_usd);
    count("sluice_explored_requests_total", "Answered across a threshold", {}, now.explored);
    level("sluice_router_champion_version", "0: the shipped prior", {}, now.champion_version);
    for (const auto& [of, bound, value] : now.labels)
        level("sluice_router_labels", "Learned from", {{"of", of}}, value);
    for (const auto& [of, bound, value] : now.advantages)
        level("sluice_router_advantage_ratio", "Over base", {{"of", of}, {"bound", bound}}, value);
}

// From the configuration now in force: what a reload has taken away is gone here, too.
std::string snapshot_text(const MetricsGauges& gauges) {
    prometheus::Registry registry;
    Gauges& policy = gauges_of(registry, "sluice_policy_info", "1: what decides at the moment");
    for (const MetricsGauges::PolicyNow& one : gauges.policies)
        policy.Add({{"version", one.version}, {"owner", one.owner}, {"role", one.role}}).Set(1);
    auto level = [&registry](const char* name, const char* help, double value) {
        gauges_of(registry, name, help).Add({}).Set(value);
    };
    level("sluice_policy_damaged_files", "Of kept versions and notes: see /admin/policy",
          static_cast<double>(gauges.policy_damage));
    if (gauges.paced) {
        level("sluice_pace_shift", "Of the thresholds: above 0 dear tiers are held back",
              gauges.pace_shift);
        level("sluice_pace_forecast_ratio", "The day as it goes over what is wanted",
              gauges.pace_forecast);
    }
    if (gauges.learning) add_learning(registry, *gauges.learning);
    Gauges& limit = gauges_of(registry, "sluice_budget_limit_usd", "What the window allows");
    Gauges& spent = gauges_of(registry, "sluice_budget_spent_usd", "Settled in the window now");
    Gauges& held = gauges_of(registry, "sluice_budget_held_usd", "Promised to requests in flight");
    auto usd = [](Money money) { return static_cast<double>(money.pico_usd) * pico; };
    held.Add({{"scope", "all"}}).Set(usd(gauges.held));
    for (std::size_t i = 0; i < std::min(gauges.budgets.size(), values_max); ++i) {
        const MetricsGauges::Budget& one = gauges.budgets[i];
        limit.Add({{"scope", one.scope}}).Set(usd(one.limit));
        spent.Add({{"scope", one.scope}}).Set(usd(one.spent));
        held.Add({{"scope", one.scope}}).Set(usd(one.held));
    }
    return prometheus::TextSerializer().Serialize(registry.Collect());
}

std::string Metrics::text(const MetricsGauges& gauges) {
    state_->queue.Add({}).Set(static_cast<double>(gauges.ledger_queue_entries));
    for (const auto& [name, is_up] : gauges.upstream_up)
        state_->up.Add({{"upstream", std::string(name)}}).Set(is_up ? 1 : 0);
    if (gauges.engine) state_->set_engine(gauges);
    return prometheus::TextSerializer().Serialize(state_->registry.Collect()) +
           snapshot_text(gauges);
}

}  // namespace sluice
