#include "policies/simulate.h"

#include <algorithm>

#include "policies/route.h"

namespace sluice {
namespace {

constexpr std::int64_t million = 1'000'000;
constexpr int paced_days = 3;  // the last of which is told

void add(SimulatedSum& sum, const Usage& usage, Money cost, Money baseline) {
    ++sum.requests;
    sum.input_tokens += usage.input();
    sum.cached_tokens += usage.in_cache_read;
    sum.output_tokens += usage.output();
    sum.cost += cost.pico_usd;
    sum.baseline += baseline.pico_usd;
}

class Day {
public:
    Day(const Policy& policy, const Workload& workload, const Classifier& classifier,
        const OnlineWeights* learned)
        : policy_(policy), workload_(workload), classifier_(classifier), learned_(learned) {
        for (const Upstream& one : workload.upstreams) views_.push_back({&one, true, {}});
        for (const PolicyTier& tier : policy.tiers)
            for (const std::string& name : tier.upstreams)
                if (priced(name) == nullptr) day_.unpriced.push_back(name);
        day_.baseline_tier = policy.baseline_tier;
        for (const std::string& name : policy.tier(policy.baseline_tier)->upstreams)
            if (baseline_ == nullptr) baseline_ = priced(name);
        if (workload.self_hosting) rented_at_ = priced(workload.self_hosting->instead_of);
    }

    Simulation run() {
        for (const WorkloadGroup& group : workload_.groups) begin(group);
        if (policy_.pace.active())
            send_paced();
        else
            for (Sending& one : sending_) send(one, one.group->count);
        for (Sending& one : sending_) day_.groups.push_back(std::move(one.seen));
        if (workload_.self_hosting) day_.self_hosting.push_back(break_even());
        return std::move(day_);
    }

private:
    const Upstream* priced(std::string_view name) const {
        for (const Upstream& one : workload_.upstreams)
            if (one.name == name) return &one;
        return nullptr;
    }

    // One group on its way through the day.
    struct Sending {
        const WorkloadGroup* group;
        Difficulty difficulty;
        Usage usage;
        SimulatedGroup seen;
        std::int64_t sent = 0;
    };

    void begin(const WorkloadGroup& group) {
        Sending& one = sending_.emplace_back();
        one.group = &group;
        one.seen.name = group.name;
        one.difficulty = difficulty_of(group.described, classifier_, learned_);
        std::int64_t input = input_tokens_of(group.described);
        one.usage.in_cache_read =
            static_cast<std::int64_t>(group.cached_share * static_cast<double>(input));
        one.usage.in_uncached = input - one.usage.in_cache_read;
        one.usage.out_text = group.output_tokens;
    }

    // Up to that many of it.
    void send(Sending& one, std::int64_t until) {
        const WorkloadGroup& group = *one.group;
        RouteInput ask = route_input(group.described, one.difficulty);
        ask.with_reason = false;
        if (policy_.pace.active()) ask.shift = pace_.shift;
        for (; one.sent < until; ++one.sent) {
            // Spread evenly, so that a canary of 5 % takes 5 of 100.
            ask.chance = (static_cast<double>(one.sent) + 0.5) / static_cast<double>(group.count);
            send_one(group, ask, one.usage, one.seen);
        }
    }

    // Every group evenly over the day's minutes; the first day is for the pace to learn it.
    void send_paced() {
        Simulation::Paced paced;
        for (int days = 0; days < paced_days; ++days) {
            const Simulation empty = day_;
            const SimulatedSum own = own_;
            paced = {pace_.shift, pace_.shift, 0, 0};
            for (std::int64_t minute = 0; minute < 1'440; ++minute) {
                for (Sending& one : sending_) send(one, one.group->count * (minute + 1) / 1'440);
                step(pace_, policy_.pace, days * 86'400 + minute * 60 - policy_.pace.offset_s,
                     pace_seen_);
                pace_seen_ = {};
                paced.shift_low = std::min(paced.shift_low, pace_.shift);
                paced.shift_high = std::max(paced.shift_high, pace_.shift);
            }
            bool by_spend = policy_.pace.tier.empty();
            paced.units =
                by_spend ? pace_.units * 1e-12 : pace_.units / std::max(pace_.requests, 1.0);
            paced.wanted = by_spend
                               ? static_cast<double>(policy_.pace.spend_per_day.pico_usd) * 1e-12
                               : policy_.pace.share;
            if (days + 1 == paced_days) break;
            day_ = empty;
            own_ = own;
            for (Sending& one : sending_) {
                one.sent = 0;
                one.seen = SimulatedGroup();
                one.seen.name = one.group->name;
            }
        }
        day_.paced = paced;
    }

    void send_one(const WorkloadGroup& group, const RouteInput& ask, const Usage& usage,
                  SimulatedGroup& seen) {
        auto route = choose_route(policy_, ask, views_);
        if (!route) {
            if (seen.refused++ == 0) seen.refusal = route.error().message;
            ++day_.refused;
            return;
        }
        if (route->stayed && seen.stayed++ == 0) {
            RouteInput once = ask;
            once.with_reason = true;
            seen.stay = choose_route(policy_, once, views_)->reason;
        }
        const Attempt& first = route->attempts.front();
        Money cost = cost_of(usage, first.upstream->price);
        Money baseline = cost_of(usage, baseline_->price);
        ++pace_seen_.requests;
        pace_seen_.units += pace_units(policy_, first.tier, cost);
        for (SimulatedSum* sum : {&day_.total, &day_.tiers[first.tier], &seen.tiers[first.tier],
                                  &day_.teams[group.described.caller.team]})
            add(*sum, usage, cost, baseline);
        if (!workload_.self_hosting || first.upstream->name != workload_.self_hosting->upstream)
            return;
        Money rented = cost_of(usage, rented_at_->price);
        add(own_, usage, rented, rented);
    }

    BreakEven break_even() const {
        const SelfHosting& own = *workload_.self_hosting;
        BreakEven out;
        out.upstream = own.upstream;
        out.instead_of = own.instead_of;
        out.tokens = own_.output_tokens;
        out.capacity = static_cast<std::int64_t>(static_cast<double>(own.output_tokens_per_second) *
                                                 3600 * own.hours_per_day);
        auto tenths = static_cast<std::int64_t>(own.hours_per_day * 10 + 0.5);  // exact money
        out.host_day = PicoSum{own.gpu_hour.pico_usd} * tenths / 10 + own.other_per_day.pico_usd;
        out.machines = std::max<std::int64_t>(1, (out.tokens + out.capacity - 1) / out.capacity);
        out.rented_day = own_.cost;
        out.per_mtok_full = out.host_day * million / out.capacity;
        if (out.tokens == 0) return out;
        out.per_mtok = out.host_day * out.machines * million / out.tokens;
        out.rented_per_mtok = out.rented_day * million / out.tokens;
        if (out.rented_day == 0) return out;
        auto times = [&out](std::int64_t of) {  // rounded up; a next to free price makes it huge
            const PicoSum exact = (out.host_day * of + out.rented_day - 1) / out.rented_day;
            return static_cast<std::int64_t>(std::min<PicoSum>(exact, INT64_MAX));
        };
        out.break_even_tokens = times(out.tokens);
        out.break_even_requests = times(own_.requests);
        out.break_even_use =
            static_cast<double>(out.break_even_tokens) / static_cast<double>(out.capacity);
        return out;
    }

    const Policy& policy_;
    const Workload& workload_;
    const Classifier& classifier_;
    const OnlineWeights* learned_;
    std::vector<UpstreamView> views_;
    const Upstream* baseline_ = nullptr;
    const Upstream* rented_at_ = nullptr;
    std::vector<Sending> sending_;
    PaceState pace_;
    PaceSeen pace_seen_;
    SimulatedSum own_;  // what went to the machine; its cost is the rented price
    Simulation day_;
};

}  // namespace

Simulation simulate(const Policy& policy, const Workload& workload, const Classifier& classifier,
                    const OnlineWeights* learned) {
    return Day(policy, workload, classifier, learned).run();
}

}  // namespace sluice
