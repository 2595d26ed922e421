#include "gateway/chat.h"

#include <algorithm>
#include <ctime>

#include "gateway/candidate.h"
#include "gateway/chat_reply.h"
#include "gateway/learning/walk_learning.h"
#include "gateway/settle.h"
#include "policies/cost_ceiling.h"
#include "policies/route.h"
#include "providers/error_table.h"
#include "providers/token_estimate.h"

namespace sluice {
namespace {

// How an opened stream ended. `last` is the final Delta, held back until its cost is on record.
struct Completion {
    Delta last;
    std::optional<Error> failure;
};

RouteInput route_input(const Gateway& gateway, Walk& walk) {
    RouteInput input{walk.caller, walk.labels, walk.chat, walk.difficulty, walk.input_tokens};
    input.with_reason = explain_asked(walk.http);
    input.unix_seconds = std::time(nullptr);
    input.session =
        gateway.sessions.recall(walk.caller, walk.labels.session_id, input.unix_seconds);
    input.chance = walk.draws.canary;
    input.shift = gateway.pace.shift();
    if (gateway.learning != nullptr) input.exploring = walk.draws.explore;
    BudgetLook budget = walk.snapshot->budgets().look(walk.caller, input.unix_seconds);
    input.budget_pressure = budget.pressure;
    if (budget.tightest == nullptr) return input;
    input.budget_left = budget.left;
    walk.budget = budget.tightest;
    input.budget = budget.tightest->words;
    return input;
}

// The policy's longest answer; a caller may ask for less.
void cap_answer(Walk& walk) {
    if (!walk.route.max_tokens) return;
    std::int64_t most = *walk.route.max_tokens;
    walk.chat.max_tokens = std::min(walk.chat.max_tokens.value_or(most), most);
}

// The most this route can cost: the whole answer length at the dearest of its upstreams.
Money ceiling_of(const Walk& walk) {
    Money worst;
    for (const Attempt& attempt : walk.route.attempts) {
        const Upstream& upstream = *attempt.upstream;
        std::int64_t output = walk.chat.max_tokens.value_or(upstream.output_tokens_default);
        worst = std::max(worst, cost_ceiling(walk.chat, walk.input_tokens, output, upstream.price));
    }
    return worst;
}

// Work is taken on only while its cost can be put on record.
Result<Hold> admit(Gateway& gateway, const Walk& walk) {
    if (!gateway.ledger.healthy())
        return Error(Errc::overloaded,
                     "the ledger cannot be written at the moment, so no new request is taken on: "
                     "try again shortly");
    int requests_max = walk.snapshot->config->requests.requests_max;
    return gateway.budgets.admit(ceiling_of(walk), requests_max, walk.snapshot->budgets(),
                                 walk.caller, std::time(nullptr));
}

// A refusal for want of money, with when there will be some again.
Error with_reset(const Walk& walk, Error error) {
    add_reset(error, walk.snapshot->budgets(), *walk.budget, std::time(nullptr));
    return error;
}

// Where the request goes, by the policy that decides it.
Status decide(Gateway& gateway, Walk& walk) {
    RouteInput input = route_input(gateway, walk);
    auto views = Fleet::view(*walk.snapshot, Clock::now(), gateway.fleet.engine_now());
    gateway.fleet.count_prompt(*walk.policy, input, views);
    auto route = choose_route(*walk.policy, input, views);
    decide_beside(walk, input, views, route, gateway.metrics);
    if (!route && route.error().code == Errc::budget_spent) return with_reset(walk, route.error());
    if (!route) return route.error();
    walk.route = std::move(*route);
    cap_answer(walk);
    return Done{};
}

// Pulls one delta, writes one delta, until the last one, an error, or a client that left.
net::awaitable<Completion> relay(Opened& opened, EventWriter& writer, Reply& reply,
                                 KeptAnswer& kept) {
    Completion done;
    Delta delta = std::move(opened.first);
    std::string bytes;
    while (!delta.last) {
        bytes.clear();
        kept.add(delta);
        writer.write(delta, nullptr, bytes);
        bool sent = true;
        if (!bytes.empty()) sent = co_await reply.write(bytes);
        if (!sent) {
            done.failure = Error(Errc::cancelled, "the client left");
            co_return done;
        }
        auto next = co_await opened.stream->next();
        if (!next) {
            done.failure = std::move(next).error();
            co_return done;
        }
        delta = std::move(*next);
    }
    kept.add(delta);
    done.last = std::move(delta);
    co_return done;
}

// A stream has gone well once it has ended well; an upstream that cuts them is to rest, too.
void note_health(const Walk& walk, const Upstream& upstream, const Completion& done) {
    Health& health = health_of(*walk.snapshot, upstream);
    if (!done.failure)
        health.succeeded();
    else if (error_row(done.failure->code).another_attempt_may_help)
        health.failed(*done.failure, Clock::now());
}

// What the next decision needs of this answer: where its conversation is now, and how fast it came.
void note_answer(Gateway& gateway, const Walk& walk, const Delta& last) {
    const Tried& answering = walk.tried.back();
    SessionPast past{upstream_mark(answering.upstream->name),
                     last.usage.input() + last.usage.out_text};
    gateway.sessions.note(walk.caller, walk.labels.session_id, std::time(nullptr), past);
    std::int64_t further = last.usage.output() - 1;
    if (!walk.chat.stream || further < 1) return;
    double first_s = static_cast<double>(answering.first_token_us) * 1e-6;
    double rest_s = static_cast<double>(answering.duration_us) * 1e-6 - first_s;
    health_of(*walk.snapshot, *answering.upstream)
        .took(first_s, rest_s / static_cast<double>(further), Clock::now());
}

// A whole answer: it is complete already; its row is committed before its bytes go out.
net::awaitable<void> answer_whole(Gateway& gateway, Seat& seat, Walk& walk, Opened& opened,
                                  Reply& reply) {
    close_attempt(opened.tried, opened.first, nullptr);
    walk.tried.push_back(std::move(opened.tried));
    note_answer(gateway, walk, opened.first);
    KeptAnswer kept = kept_for(gateway, walk);
    kept.add(opened.first);
    remember_answer(gateway, seat, walk, opened.first, kept);
    AnswerTail tail = tail_of(walk);
    auto settled = co_await settle(gateway, walk, 200);
    if (!settled) co_return co_await send_error(reply, walk, settled.error());
    AnswerHead head = head_of(walk, opened.first);
    std::string body = walk.dialect.write_answer(head, opened.first, tail);
    Headers headers = answer_headers(walk, head.model);
    headers.emplace_back("x-sluice-cost-usd", usd_text(tail.cost));
    co_await reply.send(200, "application/json", headers, body);
    answer_in_shadow(gateway, seat, walk, opened.first.text);
}

net::awaitable<void> answer_stream(Gateway& gateway, Seat& seat, Walk& walk, Opened& opened,
                                   Reply& reply) {
    AnswerHead head = head_of(walk, opened.first);
    auto writer = walk.dialect.event_writer(head);
    Headers headers = answer_headers(walk, head.model, opened.tried);
    bool begun = co_await reply.begin_stream(200, "text/event-stream", headers);
    KeptAnswer kept = kept_for(gateway, walk);
    Completion done;
    if (begun)
        done = co_await relay(opened, *writer, reply, kept);
    else
        done.failure = Error(Errc::cancelled, "the client left");
    if (done.failure) done.last.usage = opened.stream->usage_so_far();
    note_health(walk, *opened.tried.upstream, done);
    opened.stream.reset();  // a stream that was cut stops costing now
    close_attempt(opened.tried, done.last, done.failure ? &*done.failure : nullptr);
    walk.tried.push_back(std::move(opened.tried));
    if (!done.failure) {
        note_answer(gateway, walk, done.last);
        remember_answer(gateway, seat, walk, done.last, kept);
    }
    AnswerTail tail = tail_of(walk);
    auto settled = co_await settle(gateway, walk, 200);
    if (!settled && !done.failure) done.failure = settled.error();
    std::string bytes;
    if (done.failure)
        writer->write_error(*done.failure, walk.http.request_id, bytes);
    else
        writer->write(done.last, &tail, bytes);
    bool sent = co_await reply.write(bytes);
    if (sent) co_await reply.end_stream();
    if (!done.failure) answer_in_shadow(gateway, seat, walk, kept.text());
}

}  // namespace

net::awaitable<void> serve_chat(Gateway& gateway, Seat& seat, const Dialect& dialect,
                                const HttpRequest& http, Reply& reply) {
    Walk walk(seat.snapshot, dialect, http);
    const Config& config = *walk.snapshot->config;

    auto caller = config.keys.authenticate(credential_of(http), http.from_loopback);
    if (!caller) co_return co_await refuse(gateway, reply, walk, caller.error());
    walk.caller = std::move(*caller);

    walk.draws = gateway.draws.of(walk.caller, http.header("x-sluice-session-id"));
    walk.policy = &policy_for(config, walk.draws.policy);
    auto labels = read_labels(http, *walk.policy);
    if (!labels) co_return co_await refuse(gateway, reply, walk, labels.error());
    walk.labels = std::move(*labels);

    auto chat = dialect.read_request(http.body);
    if (!chat) co_return co_await refuse(gateway, reply, walk, chat.error());
    walk.chat = std::move(*chat);

    auto routing = Clock::now();
    classify_request(gateway, walk);
    walk.input_tokens = estimate_input_tokens(walk.chat);
    Status decided = decide(gateway, walk);
    if (!decided) co_return co_await refuse(gateway, reply, walk, decided.error());
    gateway.metrics.observe_route(walk.route.tier, walk.route.rule, Clock::now() - routing);

    auto hold = admit(gateway, walk);
    if (!hold && hold.error().code == Errc::budget_spent) {
        // Others took it meanwhile: once more, with what is left now.
        decided = decide(gateway, walk);
        if (!decided) co_return co_await refuse(gateway, reply, walk, decided.error());
        hold = admit(gateway, walk);
    }
    if (!hold) co_return co_await refuse(gateway, reply, walk, hold.error());
    walk.hold = std::move(*hold);

    auto opened =
        co_await gateway.fleet.open_stream(seat, *walk.snapshot, walk.route, walk.chat, walk.caller,
                                           walk.input_tokens, reply.stop(), walk.tried);
    if (!opened) co_return co_await refuse(gateway, reply, walk, opened.error());

    if (walk.chat.stream)
        co_await answer_stream(gateway, seat, walk, *opened, reply);
    else
        co_await answer_whole(gateway, seat, walk, *opened, reply);
}

}  // namespace sluice
