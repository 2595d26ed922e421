#include "gateway/settle.h"

#include "engine/log.h"
#include "gateway/chat_reply.h"
#include "gateway/learning/recent.h"
#include "providers/error_table.h"

namespace sluice {
namespace {

std::int64_t us_since_arrival(const Walk& walk, const Tried& tried) {
    if (tried.first_token_us == 0) return 0;
    auto waited = tried.started - walk.arrived;
    return std::chrono::duration_cast<std::chrono::microseconds>(waited).count() +
           tried.first_token_us;
}

// Where the gateway learns, with what later replays score the request anew by.
RecordBytes record_of(const Walk& walk) {
    if (walk.answer == nullptr || walk.data_stays())
        return write_record(walk.route.record, walk.labels);
    std::uint32_t classifier = classifier_mark(walk.snapshot->config->classifier->version());
    return write_record(walk.route.record, walk.labels, &walk.answer->features, classifier);
}

void fill_entry(LedgerEntry& entry, const Walk& walk, std::size_t index, bool answered,
                int http_status) {
    const Tried& tried = walk.tried[index];
    const Config& config = *walk.snapshot->config;
    entry.started_unix_ms = tried.started_unix_ms;
    entry.request_id = walk.http.request_id;
    entry.attempt = static_cast<int>(index) + 1;
    entry.answered = answered;
    entry.caller = walk.caller;
    entry.session_id = walk.labels.session_id;
    entry.dialect = walk.dialect.name();
    entry.model_asked = walk.chat.model;
    entry.tier = tried.tier;
    entry.upstream = tried.upstream->name;
    entry.vendor = tried.upstream->vendor.name;
    entry.model = tried.upstream->model;
    entry.rule = walk.route.rule;
    entry.policy_version = walk.policy->version;
    entry.difficulty = walk.difficulty.score;
    entry.stream = walk.chat.stream;
    entry.outcome = tried.outcome;
    entry.http_status = answered ? http_status : 0;
    entry.usage = tried.usage;
    entry.cost = cost_of(tried.usage, tried.upstream->price);
    const Upstream* baseline = config.baseline();
    if (answered && baseline != nullptr) entry.baseline = cost_of(tried.usage, baseline->price);
    entry.first_token_us = us_since_arrival(walk, tried);
    entry.duration_us = tried.duration_us;
    entry.simulated = tried.upstream->vendor.simulated;
    if (index == 0) entry.decision = record_of(walk);
}

}  // namespace

void close_attempt(Tried& tried, const Delta& last, const Error* cut) {
    tried.usage = last.usage;
    tried.usage_missing = last.usage_missing;
    finish_tried(tried, cut, Clock::now());
}

net::awaitable<Status> settle(Gateway& gateway, Walk& walk, int http_status) {
    std::vector<LedgerEntry> entries;
    Money cost;
    entries.reserve(walk.tried.size());
    for (std::size_t i = 0; i < walk.tried.size(); ++i) {
        bool answered = http_status == 200 && i + 1 == walk.tried.size();
        fill_entry(entries.emplace_back(), walk, i, answered, http_status);
        gateway.metrics.count(entries.back());
        cost += entries.back().cost;
        gateway.pace.count(walk.snapshot->config->policy, entries.back());
        if (i == 0) gateway.metrics.count_policy(walk.policy->version);
        if (walk.tried[i].usage_missing)
            gateway.metrics.count_usage_missing(entries.back().upstream);
        if (!walk.tried[i].upstream->price.known_for(walk.tried[i].usage.input()))
            gateway.metrics.count_price_unknown(entries.back().upstream);
        if (i > 0)
            gateway.metrics.count_fallback(entries[i - 1].tier, entries[i].tier,
                                           entries[i - 1].outcome);
    }
    walk.hold.settle(cost);
    Status committed{Done{}};
    if (!entries.empty()) committed = co_await gateway.ledger.append(std::move(entries));
    co_return committed;
}

net::awaitable<void> refuse(Gateway& gateway, Reply& reply, Walk& walk, const Error& error) {
    // Not on record yet is not the caller's concern here: the rows stay queued.
    auto settled = co_await settle(gateway, walk, error_row(error.code).status);
    if (!settled)
        log_error("ledger_behind",
                  {{"request_id", walk.http.request_id}, {"message", settled.error().message}});
    gateway.metrics.count_refusal(walk.route.tier, walk.caller.team, errc_name(error.code));
    co_await send_error(reply, walk, error);
}

}  // namespace sluice
