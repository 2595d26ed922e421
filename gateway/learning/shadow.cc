#include "gateway/learning/shadow.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <ctime>

#include "engine/log.h"
#include "gateway/learning/learning.h"
#include "gateway/learning/walk_learning.h"
#include "gateway/settle.h"
#include "policies/cost_ceiling.h"
#include "policies/golden/judge.h"
#include "policies/route.h"
#include "providers/error_table.h"
#include "providers/token_estimate.h"

namespace sluice {
namespace {

constexpr std::int64_t answer_tokens_max = 4'096;  // of a shadow answer
constexpr std::int64_t verdict_tokens_max = 512;
constexpr std::size_t answer_bytes_max = 64U << 10;
constexpr std::int64_t day_seconds = 86'400;
constexpr const char* rubric =
    "Which answer serves the one who asked better: right, complete, to the point, in the form that "
    "was asked for? Length by itself is worth nothing. Answers that are equally good are a tie.";

// The first attempt of the request's own route on a tier dearer than the one that answered.
const Attempt* next_tier(const Walk& walk) {
    const Policy& policy = *walk.policy;
    const PolicyTier* answered = policy.tier(walk.tried.back().tier);
    for (const Attempt& attempt : walk.route.attempts)
        if (policy.tier(attempt.tier) > answered) return &attempt;
    return nullptr;
}

// A tier that the request's own rule, or whoever asked for it, kept it from judges nothing of it.
bool may_see(const Walk& walk, const PolicyTier& tier) {
    return std::any_of(walk.route.attempts.begin(), walk.route.attempts.end(),
                       [&](const Attempt& one) { return one.tier == tier.name; });
}

Money worst_cost(const ChatRequest& chat, const Upstream& upstream) {
    return cost_ceiling(chat, estimate_input_tokens(chat), *chat.max_tokens, upstream.price);
}

}  // namespace

// What a run needs once the request is gone.
struct Shadow::Task {
    SnapshotPtr snapshot;
    Caller caller;
    std::string request_id;
    ChatRequest chat;  // as the shadow is asked
    std::string answer;
    OnlineFeatures features;
    Attempt next;
    Attempt judge;
    float strength = 0, next_strength = 1;
    std::string tier;  // that answered
    std::int64_t day = 0;
    Money worst;
};

// One run from its place among those under way to the end of it.
class Shadow::Run {
public:
    Run(Shadow& shadow, Seat& seat, const Task& task)
        : executor(seat.executor), shadow_(shadow), day_(task.day), worst_(task.worst) {
        std::lock_guard lock(shadow_.mutex_);
        at_ = shadow_.under_way_.insert(shadow_.under_way_.end(), this);
        if (shadow_.stopping_) stop.request();
    }
    ~Run() {
        shadow_.settle(day_, worst_, cost);
        std::lock_guard lock(shadow_.mutex_);
        Counts& counts = shadow_.counts_;
        ++(judged ? tie ? counts.ties : counts.judged : counts.failed);
        shadow_.under_way_.erase(at_);
        shadow_.end(lock);
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    net::any_io_executor executor;
    Stop stop;
    Money cost;
    bool judged = false, tie = false;

private:
    Shadow& shadow_;
    std::int64_t day_;
    Money worst_;
    std::list<Run*>::iterator at_;
};

namespace {

struct Question {
    const SnapshotPtr& snapshot;
    const ChatRequest& chat;
    const Attempt& attempt;
    const std::string& org;
    std::string id;
};

// Asks one upstream and books it; the text, or nothing.
net::awaitable<std::optional<std::string>> ask(Gateway& gateway, Seat& seat,
                                               const Question& question, Stop& stop, Money& cost) {
    HttpRequest http;
    http.request_id = question.id;
    Walk walk(question.snapshot, *find_dialect("openai_chat"), http);
    walk.caller = shadow_caller(question.org);
    const Caller payer = shadow_payer(question.org);
    walk.chat = question.chat;
    walk.chat.model = question.attempt.tier;
    walk.input_tokens = estimate_input_tokens(walk.chat);
    walk.route.attempts.push_back(question.attempt);
    walk.route.tier = question.attempt.tier;
    walk.route.rule = "shadow";
    const Upstream& upstream = *question.attempt.upstream;
    if (!gateway.ledger.healthy()) co_return std::nullopt;
    auto hold = gateway.budgets.admit(worst_cost(walk.chat, upstream),
                                      walk.snapshot->config->requests.requests_max,
                                      walk.snapshot->budgets(), payer, std::time(nullptr));
    if (!hold) co_return std::nullopt;
    walk.hold = std::move(*hold);
    auto opened =
        co_await gateway.fleet.open_stream(seat, *walk.snapshot, walk.route, walk.chat, walk.caller,
                                           walk.input_tokens, stop, walk.tried);
    std::optional<std::string> text;
    if (opened) {
        close_attempt(opened->tried, opened->first, nullptr);
        walk.tried.push_back(std::move(opened->tried));
        text = std::move(opened->first.text);
    }
    for (const Tried& tried : walk.tried) cost += cost_of(tried.usage, tried.upstream->price);
    auto settled = co_await settle(gateway, walk, 0);  // answered nobody: it saves nothing
    if (!settled) log_error("ledger_behind", {{"request_id", question.id}});
    co_return text;
}

GoldenCase case_of(const ChatRequest& chat) {
    GoldenCase asked;
    asked.messages = chat.messages;
    return asked;
}

}  // namespace

// Asks the next tier, then the judge twice; a failure anywhere teaches nothing.
net::awaitable<void> Shadow::run(Gateway& gateway, Seat& seat, Shadow& shadow, Task task) {
    Run run(shadow, seat, task);
    const std::string& org = task.caller.org;
    Question next{task.snapshot, task.chat, task.next, org, task.request_id + "/shadow"};
    auto other = co_await ask(gateway, seat, next, run.stop, run.cost);
    if (!other || other->empty() || other->size() > answer_bytes_max) co_return;
    GoldenCase about = case_of(task.chat);
    ChatRequest plain = preference_request(about, rubric, task.answer, *other, verdict_tokens_max);
    ChatRequest swapped =
        preference_request(about, rubric, *other, task.answer, verdict_tokens_max);
    Question first{task.snapshot, plain, task.judge, org, task.request_id + "/judge"};
    auto said = co_await ask(gateway, seat, first, run.stop, run.cost);
    if (!said) co_return;
    Question second{task.snapshot, swapped, task.judge, org, task.request_id + "/judge-swapped"};
    auto again = co_await ask(gateway, seat, second, run.stop, run.cost);
    if (!again) co_return;
    auto one = read_preference(*said), two = read_preference(*again);
    if (!one || !two) co_return;
    double better = agreed(*one, *two);
    run.judged = true;
    run.tie = better == 0.5;
    if (run.tie && *one == *two && *one != Preference::tie) co_return;  // it goes by the order
    ShadowPair pair{1 - better, better, run.tie, static_cast<double>(task.strength),
                    static_cast<double>(task.next_strength)};
    Outcome row = gateway.learning->learn_pair(task.caller, task.features, pair);
    row.request_id = task.request_id;
    row.tier = task.tier;
    auto kept = co_await gateway.ledger.append(std::move(row));
    if (!kept) log_error("ledger_behind", {{"request_id", task.request_id}});
}

bool Shadow::wanted(const Walk& walk) {
    double percent = walk.route.shadow_percent;
    if (percent <= 0 || walk.answer == nullptr) return false;
    if (walk.data_stays() || !walk.chat.tools.empty()) return false;
    return walk.draws.shadow * 100 < percent;
}

void Shadow::start(Gateway& gateway, Seat& seat, const Walk& walk, const std::string& answer) {
    if (!wanted(walk) || answer.empty() || answer.size() > answer_bytes_max) return;
    const LearningPolicy& policy = walk.policy->learning;
    const Attempt* next = next_tier(walk);
    const Upstream* judge = walk.snapshot->config->upstream(policy.judge);
    const PolicyTier* judging = walk.policy->tier_of(policy.judge);
    if (next == nullptr || judge == nullptr || judging == nullptr) return;
    if (!may_see(walk, *judging)) return;
    Task task;
    task.snapshot = walk.snapshot;
    task.caller = walk.caller;
    task.request_id = walk.http.request_id;
    task.chat = walk.chat;
    task.chat.stream = false;
    task.chat.max_tokens =
        std::min(walk.chat.max_tokens.value_or(answer_tokens_max), answer_tokens_max);
    task.answer = answer;
    task.features = walk.answer->features;
    task.next = *next;
    task.judge.upstream = judge;
    task.judge.tier = judging->name;
    task.tier = walk.tried.back().tier;
    task.strength = walk.answer->strength;
    task.next_strength = static_cast<float>(strength_of(*walk.policy, next->tier));
    task.day = std::time(nullptr) / day_seconds;
    // Both judgements read both answers; the shadow's may be as long as it may be.
    GoldenCase about = case_of(task.chat);
    ChatRequest judged = preference_request(about, rubric, answer, "", verdict_tokens_max);
    Money verdict = cost_at_most(estimate_input_tokens(judged) + *task.chat.max_tokens,
                                 verdict_tokens_max, judge->price);
    task.worst = worst_cost(task.chat, *next->upstream) + verdict + verdict;
    if (!begin()) return;
    bool paid = reserve(task.day, task.worst, policy.shadow_usd_per_day);
    {
        std::lock_guard lock(mutex_);
        ++(paid ? counts_.started : counts_.dropped_money);
        if (!paid) return end(lock);
    }
    std::int64_t day = task.day;
    Money worst = task.worst;
    try {
        net::co_spawn(seat.executor, run(gateway, seat, *this, std::move(task)), net::detached);
    } catch (const std::exception& failed) {  // it never ran: its place and its money are free
        settle(day, worst, Money{});
        std::lock_guard lock(mutex_);
        ++counts_.failed;
        end(lock);
        log_error("shadow_not_started", {{"message", failed.what()}});
    }
}

bool Shadow::begin() {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    if (begun_ >= at_once_max) {
        ++counts_.dropped_busy;
        return false;
    }
    ++begun_;
    return true;
}

void Shadow::end() {
    std::lock_guard lock(mutex_);
    end(lock);
}

void Shadow::end(const std::lock_guard<std::mutex>&) {
    --begun_;
    ended_.notify_all();
}

bool Shadow::reserve(std::int64_t day, Money worst, Money limit) {
    std::lock_guard lock(mutex_);
    if (day != day_) {
        day_ = day;
        used_ = Money{};
    }
    if (used_ + worst > limit) return false;
    used_ += worst;
    return true;
}

void Shadow::restore(std::int64_t day, Money spent) {
    std::lock_guard lock(mutex_);
    day_ = day;
    used_ = spent;
}

void Shadow::settle(std::int64_t day, Money worst, Money cost) {
    std::lock_guard lock(mutex_);
    counts_.spent += cost;
    if (day != day_) return;  // of a day that is over
    used_ += Money{cost.pico_usd - worst.pico_usd};
}

bool Shadow::stop(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (Run* run : under_way_)
        net::post(run->executor, [this, run] {
            std::unique_lock inner(mutex_);
            bool there = std::find(under_way_.begin(), under_way_.end(), run) != under_way_.end();
            inner.unlock();  // a run ends on this thread only
            if (there) run->stop.request();
        });
    return ended_.wait_for(lock, limit, [this] { return begun_ == 0; });
}

Shadow::Counts Shadow::counts() const {
    std::lock_guard lock(mutex_);
    Counts out = counts_;
    out.used_today = used_;
    return out;
}

}  // namespace sluice
