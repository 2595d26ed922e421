#include "gateway/eval/asker.h"

#include <algorithm>

#include "gateway/settle.h"
#include "gateway/within.h"
#include "policies/route.h"
#include "providers/error_table.h"
#include "providers/token_estimate.h"

namespace sluice {
namespace {

constexpr int tries_max = 4;
constexpr std::int64_t retry_ms_min = 1'000, retry_ms_max = 30'000;

std::string listed(const std::vector<PolicyTier>& tiers) {
    std::string out;
    for (const PolicyTier& one : tiers) out += (out.empty() ? "" : ", ") + one.name;
    return out;
}

bool waiting_helps(const Error& error) {
    return error.code == Errc::rate_limited || error.code == Errc::overloaded;
}

Money less(Money from, Money part) { return Money{from.pico_usd - part.pico_usd}; }

}  // namespace

Result<AskedTier> asked_tier(const Config& config, Fleet& fleet, const std::string& name) {
    const PolicyTier* tier = config.policy.tier(name);
    if (tier == nullptr)
        return Error(Errc::bad_config, "the policy has no tier '" + name + "', it has " +
                                           listed(config.policy.tiers));
    auto own = std::make_shared<Config>(config);
    own->candidate.reset();
    own->policy.rules.clear();
    own->policy.index = RuleIndex();
    own->policy.aliases.clear();
    own->policy.effects.canary.reset();
    own->policy.baseline_tier = name;
    AskedTier out;
    out.name = name;
    for (const std::string& upstream : tier->upstreams)
        if (out.upstream == nullptr) out.upstream = own->upstream(upstream);
    if (out.upstream == nullptr)
        return Error(Errc::bad_config,
                     "tier '" + name + "' has no upstream to call: none of it is enabled here");
    out.snapshot = fleet.snapshot(std::move(own));
    return out;
}

// Shared with its timer, whose last call may come after the answer.
struct Asker::Limit {
    explicit Limit(const net::any_io_executor& executor) : timer(executor) {}
    net::steady_timer timer;
    Stop stop;
    bool late = false;
};

Asker::Asker(Gateway& gateway, Seat& seat, net::io_context& io, std::vector<AskedTier> tiers,
             AskLimits limits)
    : gateway_(gateway), seat_(seat), io_(io), tiers_(std::move(tiers)), limits_(limits) {}

void Asker::stop() {
    stopped_ = true;
    for (auto& one : under_way_)
        if (auto limit = one.lock()) limit->stop.request();
}

bool Asker::stop_asked() {
    io_.poll();
    io_.restart();
    return stopped_;
}

std::vector<Said> Asker::ask_all(const std::vector<Question>& questions,
                                 const std::function<void(std::size_t)>& progress) {
    std::vector<Said> said(questions.size());
    next_ = done_ = 0;
    int workers = limits_.parallel;
    std::exception_ptr thrown;
    for (int i = 0; i < limits_.parallel; ++i)
        net::co_spawn(io_, work(questions, said, progress), [&](std::exception_ptr error) {
            if (error) thrown = error;
            if (--workers == 0) io_.stop();
        });
    io_.run();
    io_.restart();
    if (thrown) std::rethrow_exception(thrown);  // a bug
    return said;
}

net::awaitable<void> Asker::work(const std::vector<Question>& questions, std::vector<Said>& said,
                                 const std::function<void(std::size_t)>& progress) {
    while (next_ < questions.size()) {
        std::size_t here = next_++;
        said[here] = co_await ask(questions[here]);
        progress(++done_);
    }
}

// Waits where the upstream asked for that, within the case's deadline.
net::awaitable<Said> Asker::ask(const Question& question) {
    auto until = Clock::now() + std::chrono::milliseconds(question.about->deadline_ms);
    Said said;
    for (int tries = 1;; ++tries) {
        said.failure.reset();
        if (stopped_) {
            said.failure = Error(Errc::cancelled, "the run was stopped");
            co_return said;
        }
        co_await ask_once(question, until, said);
        if (!said.failure || tries == tries_max || !waiting_helps(*said.failure)) co_return said;
        auto wait = std::chrono::milliseconds(std::clamp<std::int64_t>(
            said.failure->retry_after_ms, retry_ms_min * tries, retry_ms_max));
        if (Clock::now() + wait > until) co_return said;
        for (auto end = Clock::now() + wait; Clock::now() < end && !stopped_;)
            co_await sleep_for(std::chrono::milliseconds(100));
    }
}

net::awaitable<void> Asker::ask_once(const Question& question, Clock::time_point until,
                                     Said& said) {
    HttpRequest http;
    http.request_id = "eval_" + std::to_string(std::time(nullptr)) + "_" + std::to_string(++asked_);
    Walk walk(tiers_[question.tier].snapshot, *find_dialect("openai_chat"), http);
    auto prepared = prepare(question, walk, said);
    if (!prepared) {
        said.failure = prepared.error();
        co_return;
    }
    if (!said.left_out.empty()) co_return;
    Money held;
    auto affordable = hold(walk, held);
    if (!affordable) {
        said.failure = affordable.error();
        co_return;
    }
    held_ += held;
    co_await answer(walk, until, said);
    held_ = less(held_, held);
}

// The first steps of serve_chat, for one tier.
Status Asker::prepare(const Question& question, Walk& walk, Said& said) {
    const AskedTier& tier = tiers_[question.tier];
    const Config& config = *walk.snapshot->config;
    walk.caller = Caller{question.about->org, question.about->team, "eval", ""};
    walk.labels = question.about->labels;
    walk.chat = question.chat;
    walk.chat.model = tier.name;
    if (question.about->restricted() && !tier.upstream->local()) {
        said.left_out = "restricted data goes to no hosted upstream";
        return Done{};
    }
    walk.difficulty = config.classifier->classify(walk.chat);
    walk.input_tokens = estimate_input_tokens(walk.chat);
    RouteInput input{walk.caller, walk.labels, walk.chat, walk.difficulty, walk.input_tokens};
    input.unix_seconds = std::time(nullptr);
    auto views = Fleet::view(*walk.snapshot, Clock::now());
    for (UpstreamView& view : views) view.up = true;  // asked all the same: there is no other
    auto route = choose_route(config.policy, input, views);
    if (!route && route.error().code == Errc::forbidden) {
        said.left_out = route.error().message;
        return Done{};
    }
    if (!route) return route.error();
    std::erase_if(route->attempts,
                  [&tier](const Attempt& one) { return one.upstream != tier.upstream; });
    if (route->attempts.empty())
        return Error(Errc::unsupported_parameter,
                     tier.upstream->name + " cannot take this case: " +
                         (route->skipped.empty() ? "" : route->skipped.front()));
    walk.route = std::move(*route);
    walk.route.rule = "eval";
    if (walk.route.max_tokens)
        walk.chat.max_tokens = std::min(*walk.chat.max_tokens, *walk.route.max_tokens);
    return Done{};
}

Status Asker::hold(const Walk& walk, Money& held) const {
    const Upstream& upstream = *walk.route.attempts.front().upstream;
    std::int64_t output = walk.chat.max_tokens.value_or(upstream.output_tokens_default);
    held = cost_at_most(walk.input_tokens, output, upstream.price);
    if (limits_.spend_max && spent_ + held_ + held > *limits_.spend_max)
        return Error(Errc::over_budget, "--max-usd " + usd_text(*limits_.spend_max) +
                                            " would be passed: $" + usd_text(spent_) +
                                            " are spent, this could cost $" + usd_text(held));
    if (!gateway_.ledger.healthy())
        return Error(Errc::overloaded, "the ledger cannot be written at the moment");
    return Done{};
}

net::awaitable<void> Asker::answer(Walk& walk, Clock::time_point until, Said& said) {
    auto limit = std::make_shared<Limit>(seat_.executor);
    limit->timer.expires_at(until);
    limit->timer.async_wait([limit](boost::system::error_code ended) {
        if (ended) return;
        limit->late = true;
        limit->stop.request();
    });
    std::erase_if(under_way_, [](const auto& one) { return one.expired(); });
    under_way_.push_back(limit);
    if (stopped_) limit->stop.request();
    auto opened = co_await gateway_.fleet.open_stream(seat_, *walk.snapshot, walk.route, walk.chat,
                                                      walk.caller, walk.input_tokens, limit->stop,
                                                      walk.tried);
    limit->timer.cancel();
    int status = 200;
    if (opened) {
        close_attempt(opened->tried, opened->first, nullptr);
        said.duration_ms = opened->tried.duration_us / 1'000;
        said.text = std::move(opened->first.text);
        walk.tried.push_back(std::move(opened->tried));
    } else {
        said.failure = opened.error();
        // The fleet says no_upstream of a route whose only upstream was at its limit.
        bool limited =
            !walk.tried.empty() && walk.tried.back().outcome == errc_name(Errc::rate_limited);
        if (limited) said.failure->code = Errc::rate_limited;
        if (limit->late) said.failure = Error(Errc::timed_out, "the case's deadline has passed");
        status = error_row(said.failure->code).status;
    }
    for (const Tried& tried : walk.tried) {
        Money cost = cost_of(tried.usage, tried.upstream->price);
        said.cost += cost;
        spent_ += cost;
        if (!tried.upstream->price.known_for(tried.usage.input()))
            said.failure = Error(Errc::price_unknown,
                                 tried.upstream->name + ": no price is known for a prompt of " +
                                     std::to_string(tried.usage.input()) + " tokens");
    }
    auto settled = co_await settle(gateway_, walk, status);
    if (!settled) ++not_booked_;
}

}  // namespace sluice
