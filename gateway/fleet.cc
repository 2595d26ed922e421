#include "gateway/fleet.h"

#include <algorithm>

#include "engine/log.h"
#include "gateway/counted_prompt.h"
#include "gateway/curl_transport.h"
#include "gateway/hosted_stream.h"
#include "gateway/known_templates.h"
#include "gateway/local_stream.h"
#include "gateway/plain_transport.h"
#include "gateway/reasoning_effort.h"
#include "policies/sha256.h"
#include "providers/dialect.h"
#include "providers/error_table.h"

namespace sluice {
namespace {

constexpr int failures_before_rest = 3;
constexpr std::int64_t rest_ms_min = 1'000;
constexpr std::int64_t rest_ms_max = 60'000;
constexpr std::chrono::seconds open_wait_min{1};  // of an engine that did not open; doubles
constexpr std::chrono::seconds open_wait_max{60};

std::int64_t unix_ms() {
    auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::int64_t us_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

std::int64_t to_ns(Clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

// Whether this is the first piece to go out: all pieces in one where nothing is streamed on.
bool suffices(const Delta& first, bool streamed) {
    return streamed ? first.has_answer() : first.last;
}

Tried begin_tried(const Attempt& attempt) {
    Tried tried;
    tried.upstream = attempt.upstream;
    tried.tier = attempt.tier;
    tried.started_unix_ms = unix_ms();
    tried.started = Clock::now();
    return tried;
}

// One error out of all that was tried: what the caller reads when nothing is left.
Error exhausted(const std::vector<Tried>& tried, const Error& last) {
    if (tried.size() == 1 && last.code != Errc::rate_limited) return last;
    std::string message = "every upstream of the route failed: ";
    for (std::size_t i = 0; i < tried.size(); ++i) {
        if (i > 0) message += "; ";
        const std::string& name = tried[i].upstream->name;
        if (!tried[i].message.starts_with(name)) message += name + ": ";
        message += tried[i].message;
    }
    Error all(last.code, message);
    all.retry_after_ms = last.retry_after_ms;
    bool only_limited = std::all_of(tried.begin(), tried.end(), [](const Tried& one) {
        return one.outcome == errc_name(Errc::rate_limited);
    });
    bool only_late = std::all_of(tried.begin(), tried.end(), [](const Tried& one) {
        return one.outcome == errc_name(Errc::timed_out);
    });
    if (only_limited)
        all.code = Errc::no_upstream;
    else if (!only_late)
        all.code = Errc::upstream_failed;
    return all;
}

}  // namespace

Seat::Seat(net::io_context& io)
    : executor(io.get_executor()),
      plain(std::make_unique<PlainTransport>(io)),
      curl(std::make_unique<CurlTransport>(io)) {}

Transport& Seat::transport_to(const Upstream& upstream) {
    // A user and password in the URL are curl's to send.
    bool is_plain = upstream.base_url.starts_with("http://") &&
                    upstream.base_url.find('@') == std::string::npos;
    return is_plain ? *plain : *curl;
}

void Health::succeeded() {
    failures_.store(0, std::memory_order_relaxed);
    down_until_ns_.store(0, std::memory_order_relaxed);
}

void Health::failed(const Error& error, Clock::time_point now) {
    int failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
    std::int64_t rest_ms = 0;
    if (error.code == Errc::rate_limited) {
        rest_ms = std::max<std::int64_t>(error.retry_after_ms, rest_ms_min);
    } else if (failures >= failures_before_rest) {
        rest_ms = rest_ms_min << std::min(failures - failures_before_rest, 6);
    }
    if (rest_ms == 0) return;
    last_.store(error.code, std::memory_order_relaxed);
    auto until = now + std::chrono::milliseconds(std::min(rest_ms, rest_ms_max));
    down_until_ns_.store(to_ns(until), std::memory_order_relaxed);
}

bool Health::up(Clock::time_point now) const {
    return to_ns(now) >= down_until_ns_.load(std::memory_order_relaxed);
}

Health& health_of(const Snapshot& snapshot, const Upstream& upstream) {
    auto index = static_cast<std::size_t>(&upstream - snapshot.config->upstreams.data());
    return *snapshot.health[index];
}

std::string_view Health::why_down() const {
    return errc_name(last_.load(std::memory_order_relaxed));
}

void finish_tried(Tried& tried, const Error* error, Clock::time_point now) {
    tried.duration_us = us_between(tried.started, now);
    if (error == nullptr) return;
    tried.outcome = errc_name(error->code);
    tried.message = error->message;
}

void append_delta(Delta& whole, Delta&& piece) {
    whole.text += piece.text;
    for (ThoughtEnd& end : piece.thought_ends) {
        end.at += whole.reasoning.size();
        whole.thought_ends.push_back(std::move(end));
    }
    whole.reasoning += piece.reasoning;
    whole.refusal += piece.refusal;
    for (ToolCallDelta& call : piece.tool_calls) {
        auto same = std::find_if(whole.tool_calls.begin(), whole.tool_calls.end(),
                                 [&](const auto& one) { return one.index == call.index; });
        if (same == whole.tool_calls.end()) {
            whole.tool_calls.push_back(std::move(call));
            continue;
        }
        if (same->id.empty()) same->id = std::move(call.id);
        if (same->name.empty()) same->name = std::move(call.name);
        same->arguments += call.arguments;
    }
    for (LogprobEntry& entry : piece.logprobs) whole.logprobs.push_back(std::move(entry));
    if (piece.finish != Finish::none) whole.finish = piece.finish;
    if (!piece.stop_sequence.empty()) whole.stop_sequence = std::move(piece.stop_sequence);
    if (whole.model.empty()) whole.model = std::move(piece.model);
    if (whole.upstream_id.empty()) whole.upstream_id = std::move(piece.upstream_id);
    whole.last = piece.last;
    whole.usage_missing = piece.usage_missing;
    whole.usage = piece.usage;
}

Result<std::unique_ptr<Fleet>> Fleet::open(const Config& config, bool later) {
    auto fleet = std::make_unique<Fleet>();
    if (!config.engine) return fleet;
    fleet->has_engine_ = true;
    if (later) {
        fleet->opener_ = std::thread(&Fleet::open_engine_later, fleet.get(), *config.engine);
        return fleet;
    }
    Status opened = fleet->open_engine(*config.engine);
    if (!opened) return opened.error();
    return fleet;
}

Fleet::~Fleet() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
    }
    ends_.notify_all();
    if (opener_.joinable()) opener_.join();
}

// What a prompt is made by decides what a model says: authors change it after release.
void Fleet::log_model() const {
    if (!engine_was_open()) return;
    const ModelInfo& model = engine_->model();
    const std::string digest = sha256_hex(model.chat_template);
    const std::string_view name = known_template(digest);
    const bool own = !model.chat_template.empty();
    log_info("chat_template", {{"model", model.name},
                               {"sha256", own ? digest : "none: ChatML is taken"},
                               {"known", !name.empty()},
                               {"known_as", name}});
    if (!model.sampling_ignored.empty())
        log_info("model_sampling_ignored",
                 {{"model", model.name}, {"fields", model.sampling_ignored}});
}

Status Fleet::open_engine(const EngineSection& section) {
    auto engine = Engine::open(section.options);
    if (!engine) return engine.error();
    auto local = LocalProvider::create(**engine, section.answers);
    if (!local) return local.error();
    engine_ = std::move(*engine);
    local_ = std::move(*local);
    open_.store(true, std::memory_order_release);
    return Done{};
}

// No exception ends a gateway that serves without its engine.
Status Fleet::open_engine_safely(const EngineSection& section) {
    try {
        return open_engine(section);
    } catch (const std::exception& error) {  // no memory
        return Error(Errc::internal, error.what());
    }
}

void Fleet::open_engine_later(EngineSection section) {
    std::chrono::seconds wait = open_wait_min;
    for (;;) {
        Status opened = open_engine_safely(section);
        if (opened) {
            log_info("engine_open", {{"model", section.options.model_path}});
            return log_model();
        }
        log_error("engine_not_open", {{"message", opened.error().message}});
        device_failed_.store(opened.error().code == Errc::device_failed, std::memory_order_relaxed);
        std::unique_lock lock(mutex_);
        if (ends_.wait_for(lock, wait, [this] { return ending_; })) return;
        wait = std::min(2 * wait, open_wait_max);
    }
}

bool Fleet::device_lost() const {
    if (engine_was_open()) return !engine_->occupancy().up;
    return device_failed_.load(std::memory_order_relaxed);
}

bool Fleet::at_rest() const {
    return !has_engine_ || (engine_was_open() && engine_->occupancy().up);
}

std::optional<Occupancy> Fleet::engine_now() const {
    if (!has_engine_) return std::nullopt;
    if (engine_was_open()) return engine_->occupancy();
    Occupancy not_yet;
    not_yet.up = false;
    return not_yet;
}

void Fleet::count_prompt(const Policy& policy, const RouteInput& input,
                         std::vector<UpstreamView>& views) const {
    if (!open_.load(std::memory_order_acquire)) return;
    const std::int64_t window = engine_->model().context_tokens;
    const CountFor whom =
        count_for(input.request, input.input_tokens, window, policy.scoring.by_value);
    const bool counted = whom != CountFor::nobody;
    put_count(whom, counted ? local_->count(input.request, input.unix_seconds) : 0, window, views);
}

SnapshotPtr Fleet::snapshot(ConfigPtr config, BudgetAccounts accounts) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->accounts = std::move(accounts);
    std::lock_guard lock(mutex_);
    for (const Upstream& upstream : config->upstreams) {
        auto& health = health_[upstream.name];
        if (!health) health = std::make_unique<Health>();
        snapshot->health.push_back(health.get());
    }
    snapshot->config = std::move(config);
    return snapshot;
}

namespace {

// The engine foretells its own: the step that the sequence would join, and the prompts before it,
// its own among them. While sequences wait for a place what was measured may be more.
void foretell(UpstreamView& view, const Occupancy& now) {
    if (!now.up) {
        view.up = false;
        view.why_down = now.kv_pages_total == 0 ? "its engine is not open" : "its device is lost";
    }
    if (now.next_step_seconds <= 0) return;
    double first = now.next_step_seconds +
                   now.prompt_token_seconds * static_cast<double>(now.uncomputed_tokens);
    view.first_token_s = now.waiting > 0 ? std::max(first, view.first_token_s) : first;
    view.prompt_token_s = now.prompt_token_seconds;
    view.token_s = now.next_step_seconds;
}

}  // namespace

std::vector<UpstreamView> Fleet::view(const Snapshot& snapshot, Clock::time_point now,
                                      const std::optional<Occupancy>& engine) {
    std::vector<UpstreamView> views;
    views.reserve(snapshot.health.size());
    for (std::size_t i = 0; i < snapshot.health.size(); ++i) {
        UpstreamView one;
        one.upstream = &snapshot.config->upstreams[i];
        one.up = snapshot.health[i]->up(now);
        if (!one.up) one.why_down = snapshot.health[i]->why_down();
        one.first_token_s = snapshot.health[i]->first_token_s(now);
        one.token_s = snapshot.health[i]->token_s(now);
        if (engine && one.upstream->local()) foretell(one, *engine);
        views.push_back(one);
    }
    return views;
}

Result<std::unique_ptr<DeltaStream>> Fleet::open_one(Seat& seat, const Upstream& upstream,
                                                     const ChatRequest& request,
                                                     const Caller& caller,
                                                     std::int64_t input_tokens, Stop& stop) {
    if (upstream.local() && !engine_was_open())
        return Error(Errc::overloaded, "its engine is not open");
    if (upstream.local())
        return open_local_stream(*engine_, *local_, request, caller, upstream, stop, seat.executor);
    const Dialect* dialect = find_dialect(upstream.vendor.dialect);
    if (dialect == nullptr)
        return Error(Errc::bad_config, "vendor " + upstream.vendor.name +
                                           " names an unknown dialect: " + upstream.vendor.dialect);
    return std::unique_ptr<DeltaStream>(std::make_unique<HostedStream>(
        seat.transport_to(upstream), *dialect, upstream, request, input_tokens, stop));
}

net::awaitable<Result<Opened>> Fleet::open_stream(Seat& seat, const Snapshot& snapshot,
                                                  const Route& route, const ChatRequest& request,
                                                  const Caller& caller, std::int64_t input_tokens,
                                                  Stop& stop, std::vector<Tried>& tried) {
    Error last(Errc::no_upstream, "the route has no attempts");
    const RequestLimits& limits = snapshot.config->requests;
    auto too_late = Clock::now() + std::chrono::milliseconds(limits.fallback_ms);
    bool again = false;  // this attempt repeats the one before, whose kept connection was lost
    for (std::size_t at = 0; at < route.attempts.size();) {
        const Attempt& attempt = route.attempts[at];
        if (tried.size() >= static_cast<std::size_t>(limits.attempts_max)) break;
        if (!tried.empty() && Clock::now() > too_late) break;
        Health& health = health_of(snapshot, *attempt.upstream);
        Opened opened;
        opened.tried = begin_tried(attempt);
        const ChatRequest* asked = &request;
        if (!attempt.reasoning_effort.empty()) {
            opened.request = with_effort(request, attempt.reasoning_effort);
            asked = opened.request.get();
        }
        auto stream = open_one(seat, *attempt.upstream, *asked, caller, input_tokens, stop);
        if (stream) {
            auto first = co_await (*stream)->next();
            while (first && !suffices(*first, request.stream)) {
                auto more = co_await (*stream)->next();
                if (more)
                    append_delta(*first, std::move(*more));
                else
                    first = std::move(more).error();
            }
            if (first) {
                if (!request.stream) health.succeeded();
                opened.tried.first_token_us = us_between(opened.tried.started, Clock::now());
                opened.first = std::move(*first);
                opened.stream = std::move(*stream);
                co_return opened;
            }
            last = first.error();
            opened.tried.usage = (*stream)->usage_so_far();
        } else {
            last = stream.error();
        }
        auto now = Clock::now();
        finish_tried(opened.tried, &last, now);
        tried.push_back(std::move(opened.tried));
        if (!error_row(last.code).another_attempt_may_help) co_return last;
        again = last.kept_connection_lost && !again;
        if (again) continue;
        // Until it is open the engine is known to be down, and up at once when it is.
        if (!attempt.upstream->local() || engine_was_open()) health.failed(last, now);
        ++at;
    }
    co_return exhausted(tried, last);
}

}  // namespace sluice
