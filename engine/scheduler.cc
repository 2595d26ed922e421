#include "engine/scheduler.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "engine/log.h"
#include "engine/sampler.h"

namespace sluice {
namespace {

// How often sinks that refused a piece are asked again while nothing else runs.
constexpr std::chrono::milliseconds held_wait{4};
// How long nothing runs until the device rests: waking up costs it memory to be zeroed.
constexpr std::chrono::milliseconds rest_after{500};
constexpr double step_mean_weight = 0.1;  // of the newest step
// Behind a step that takes longer nothing is begun until it ends: the wait for the host is nothing
// beside it, and whoever arrives meanwhile need not wait for one more.
constexpr double long_step_seconds = 0.02;

std::uint64_t entropy() {
    std::random_device device;
    return static_cast<std::uint64_t>(device()) << 32 | device();
}

void add_to_mean(std::atomic<double>& mean, double seconds) {
    const double before = mean.load(std::memory_order_relaxed);
    mean.store(before == 0 ? seconds : before + step_mean_weight * (seconds - before),
               std::memory_order_relaxed);
}

}  // namespace

Scheduler::Scheduler(const EngineOptions& options, std::unique_ptr<Device> device,
                     std::shared_ptr<const Tokenizer> tokenizer, ModelInfo model,
                     Reopening reopening)
    : alive_max_(static_cast<std::size_t>(options.sequences_max) +
                 static_cast<std::size_t>(options.waiting_max)),
      cached_idle_max_(options.cached_idle_ms_max),
      tokenizer_(std::move(tokenizer)),
      model_(std::move(model)),
      device_(std::move(device)),
      device_info_(device_->info()),
      reopener_(std::move(reopening), device_info_),
      batch_({.sequences_max = options.sequences_max,
              .prefill_tokens_max = options.prefill_tokens_max,
              .batch_invariant = options.batch_invariant,
              .swap_pages = device_info_.swap_pages},
             device_info_.pages, device_info_.page_tokens),
      thread_([this] { run(); }) {}

Scheduler::~Scheduler() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

Status Scheduler::check(const std::vector<TokenId>& prompt, const Sampling& sampling,
                        const SubmitOptions& options) const {
    if (prompt.empty()) return Error(Errc::invalid_request, "the prompt has no tokens");
    const int vocab = tokenizer_->vocab_size();
    for (TokenId token : prompt)
        if (token < 0 || token >= vocab)
            return Error(Errc::invalid_request, "the prompt has token id " + std::to_string(token) +
                                                    ", this model's ids are 0 to " +
                                                    std::to_string(vocab - 1));
    const auto room = static_cast<std::size_t>(model_.context_tokens - 1);
    if (prompt.size() > room)
        return Error(Errc::context_length_exceeded,
                     "the prompt has " + std::to_string(prompt.size()) + " tokens; at most " +
                         std::to_string(room) + " fit this model's context of " +
                         std::to_string(model_.context_tokens) + " tokens with room for an answer");
    constexpr int highest = SubmitOptions::priority_max;
    if (options.priority < -highest || options.priority > highest)
        return Error(Errc::invalid_request,
                     "priority must be from -" + std::to_string(highest) + " to " +
                         std::to_string(highest) + ", got " + std::to_string(options.priority),
                     "priority");
    return check_sampling(sampling, vocab);
}

Result<SequenceId> Scheduler::submit(std::vector<TokenId> prompt, Sampling sampling, Sink sink,
                                     SubmitOptions options) {
    Status fine = check(prompt, sampling, options);
    if (!fine) return fine.error();
    const SequenceId id = ++last_id_;
    const std::uint64_t seed = sampling.seed ? *sampling.seed : entropy();
    const int room = model_.context_tokens - static_cast<int>(prompt.size());
    const int generated_max = std::min(sampling.tokens_max, room);
    auto sequence =
        std::make_unique<Sequence>(id, std::move(prompt), std::move(sampling), std::move(sink),
                                   generated_max, seed, std::move(options));
    {
        std::lock_guard lock(mutex_);
        if (!failure_.empty())
            return Error(Errc::device_failed, "the engine's device failed earlier: " + failure_);
        const std::size_t alive = alive_.size() + leaving_ - delivering_;
        if (alive >= alive_max_)
            return Error(Errc::overloaded, "the engine has " + std::to_string(alive) +
                                               " sequences running or waiting, " +
                                               std::to_string(alive_max_) +
                                               " are allowed; try again later");
        arrived_.push_back(std::move(sequence));
        alive_.insert(id);
    }
    wake_.notify_one();
    return id;
}

void Scheduler::cancel(SequenceId id) {
    {
        std::lock_guard lock(mutex_);
        if (alive_.erase(id) == 0) return;
        ++leaving_;
        cancelled_.push_back(id);
    }
    wake_.notify_one();
}

Occupancy Scheduler::occupancy() const {
    Occupancy out;
    out.up = up_.load(std::memory_order_relaxed);
    out.running = running_.load(std::memory_order_relaxed);
    out.waiting = waiting_.load(std::memory_order_relaxed);
    out.kv_pages_used = pages_used_.load(std::memory_order_relaxed);
    out.kv_pages_cached = pages_kept_.load(std::memory_order_relaxed);
    out.kv_pages_total = batch_.pages().total();
    out.kv_pages_swapped = pages_swapped_.load(std::memory_order_relaxed);
    out.page_tokens = batch_.pages().page_tokens();
    out.step_seconds = step_seconds_.load(std::memory_order_relaxed);
    out.host_gap_seconds = host_gap_seconds_.load(std::memory_order_relaxed);
    out.next_step_seconds = next_step_seconds_.load(std::memory_order_relaxed);
    out.prompt_token_seconds = prompt_token_seconds_.load(std::memory_order_relaxed);
    out.uncomputed_tokens = uncomputed_.load(std::memory_order_relaxed);
    out.tokens_per_second = rate_.per_second(Clock::now());
    out.generated_tokens_total = generated_total_.load(std::memory_order_relaxed);
    out.prompt_tokens_total = prompt_total_.load(std::memory_order_relaxed);
    out.loops_total = loops_total_.load(std::memory_order_relaxed);
    out.prefix_hit_tokens_total = prefix_hit_total_.load(std::memory_order_relaxed);
    out.preemptions_total = preemptions_.load(std::memory_order_acquire);
    out.swaps_total = swaps_.load(std::memory_order_relaxed);
    return out;
}

void Scheduler::run() {
    while (take_inbox()) {
        if (failed_) try_reopen();
        offer_held();
        offer_finished();
        batch_.admit(Clock::now());
        publish();
        if (step()) continue;
        // What is still here is held, or waits for pages that held sequences have.
        wait_for_work(batch_.running() + batch_.waiting() > 0 || !finished_.empty());
    }
    end_all(FinishReason::cancelled, "");
    publish();
    for (Owned& sequence : finished_) sequence->deliver(Clock::now());
}

// Adds what arrived and drops what was cancelled. False when the engine is to end.
bool Scheduler::take_inbox() {
    std::vector<Owned> arrived;
    std::vector<SequenceId> cancelled;
    bool stopping = false;
    {
        std::lock_guard lock(mutex_);
        arrived.swap(arrived_);
        cancelled.swap(cancelled_);
        leaving_ = 0;
        stopping = stopping_;
    }
    const auto now = Clock::now();
    for (Owned& sequence : arrived) batch_.add(std::move(sequence), now);
    for (SequenceId id : cancelled)
        if (batch_.remove(id) == nullptr)
            finished_.remove_if([&](const Owned& sequence) { return sequence->id() == id; });
    // Accepted just before the device was lost.
    if (failed_ && !arrived.empty()) end_all(FinishReason::failed, failure_);
    return !stopping;
}

void Scheduler::wait_for_work(bool something_held) {
    std::unique_lock lock(mutex_);
    auto ready = [this] { return work_came(); };
    if (something_held)
        wake_.wait_for(lock, held_wait, ready);
    else if (failed_ && reopener_.possible())
        wake_.wait_until(lock, reopener_.next_try(), ready);
    else if (!wake_.wait_for(lock, rest_after, ready))
        rest_until_work(lock);
}

// The device's rest loses all keys and values, so what is kept of them goes first.
void Scheduler::rest_until_work(std::unique_lock<std::mutex>& lock) {
    auto ready = [this] { return work_came(); };
    if (!device_info_.rests) return wake_.wait(lock, ready);
    if (batch_.pages().kept() > 0 && wake_.wait_for(lock, cached_idle_max_, ready)) return;
    lock.unlock();
    batch_.drop_kept();
    publish();
    if (!failed_) device_->rest();
    lock.lock();
    wake_.wait(lock, ready);
}

void Scheduler::offer_held() {
    const auto now = Clock::now();
    batch_.each([&](Sequence& sequence) {
        if (sequence.held()) sequence.deliver(now);
    });
}

void Scheduler::offer_finished() {
    const auto now = Clock::now();
    for (auto at = finished_.begin(); at != finished_.end();) {
        {
            std::lock_guard lock(mutex_);
            // Whoever gets the last piece may at once submit another sequence in its place.
            delivering_ = alive_.count((*at)->id());
        }
        const bool gone = (*at)->deliver(now);
        {
            std::lock_guard lock(mutex_);
            delivering_ = 0;
            if (gone) alive_.erase((*at)->id());
        }
        at = gone ? finished_.erase(at) : std::next(at);
    }
}

// Begins what can be begun and finishes the oldest step. False when there is nothing to run.
bool Scheduler::step() {
    if (failed_) return false;
    while (batch_.begun() < device_info_.steps_max && !long_step_begun() && begin_step()) continue;
    if (batch_.begun() > 0) {
        finish_step();
        return true;
    }
    was_idle_ = true;
    return failed_;  // by begin_step: what it ended is to be delivered
}

bool Scheduler::long_step_begun() const {
    const double prompt_tokens = loads_.empty() ? 0 : loads_.back().prompt_tokens;
    return prompt_tokens * step_times_.prompt_token_seconds() > long_step_seconds;
}

bool Scheduler::begin_step() {
    const std::vector<StepSequence>& parts = batch_.build_step();
    if (parts.empty()) return false;
    Load load;
    for (const StepSequence& part : parts)
        if (part.tokens.size() == 1)
            ++load.sequences;
        else
            load.prompt_tokens += static_cast<int>(part.tokens.size());
    loads_.push_back(load);
    const std::vector<PageMove> moves = batch_.take_moves();
    Status begun = moves.empty() ? Status(Done{}) : device_->move_pages(moves);
    if (begun) begun = device_->begin(parts);
    if (!begun) fail(begun.error().message);
    return begun.has_value();
}

void Scheduler::finish_step() {
    auto sampled = device_->finish();
    if (!sampled) return fail(sampled.error().message);
    const std::vector<Sequence*>& chosen = batch_.step_done();
    if (sampled->size() != chosen.size())
        return fail("the device chose " + std::to_string(sampled->size()) + " tokens for " +
                    std::to_string(chosen.size()) + " sequences");
    count_time();
    take_chosen(*sampled, chosen);
}

void Scheduler::count_time() {
    const StepTime time = device_->step_time();
    add_to_mean(step_seconds_, time.seconds);
    if (!std::exchange(was_idle_, false)) add_to_mean(host_gap_seconds_, time.gap_seconds);
    step_times_.add(loads_.front().sequences, loads_.front().prompt_tokens, time.seconds);
    loads_.pop_front();
}

void Scheduler::take_chosen(std::span<const Sampled> sampled,
                            const std::vector<Sequence*>& chosen) {
    std::uint32_t generated = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        if (chosen[i] == nullptr) continue;
        if (chosen[i]->generated_tokens() == 0) {
            prompt_total_ += static_cast<std::uint64_t>(chosen[i]->prompt_tokens());
            prefix_hit_total_ += static_cast<std::uint64_t>(chosen[i]->cached_prompt_tokens);
        }
        const int before = chosen[i]->generated_tokens();
        chosen[i]->take(sampled[i], *tokenizer_);
        generated += static_cast<std::uint32_t>(chosen[i]->generated_tokens() - before);
        if (chosen[i]->looped()) {
            ++loops_total_;
            log_info("sequence_looped", {{"sequence", chosen[i]->id()},
                                         {"generated_tokens", chosen[i]->generated_tokens()}});
        }
    }
    generated_total_ += generated;
    const auto now = Clock::now();
    rate_.count(now, generated);
    // Pages are back in the pool before anyone hears of the end.
    for (Owned& sequence : batch_.remove_finished()) finished_.push_back(std::move(sequence));
    publish();
    for (Sequence* sequence : chosen)
        if (sequence != nullptr && !sequence->finished()) sequence->deliver(now);
    offer_finished();
}

void Scheduler::fail(const std::string& message) {
    failed_ = true;
    up_.store(false, std::memory_order_relaxed);
    {
        std::lock_guard lock(mutex_);
        failure_ = message.empty() ? "no reason given" : message;
    }
    log_error("engine_device_failed", {{"message", message}});
    end_all(FinishReason::failed, "the engine's device failed: " + message);
    loads_.clear();
    if (!reopener_.possible()) return;
    batch_.drop_kept();
    device_.reset();  // its memory is what the next one needs
    reopener_.lost(Clock::now());
}

void Scheduler::try_reopen() {
    if (!reopener_.possible() || Clock::now() < reopener_.next_try()) return;
    auto device = reopener_.open();
    if (!device)
        return log_error("engine_device_still_lost", {{"message", device.error().message}});
    device_ = *std::move(device);
    failed_ = false;
    was_idle_ = true;
    up_.store(true, std::memory_order_relaxed);
    {
        std::lock_guard lock(mutex_);
        failure_.clear();
    }
    log_info("engine_device_open_again", {});
}

void Scheduler::end_all(FinishReason reason, const std::string& error) {
    for (Owned& sequence : batch_.remove_all()) {
        sequence->end(reason, error);
        finished_.push_back(std::move(sequence));
    }
}

void Scheduler::publish() {
    running_.store(batch_.running(), std::memory_order_relaxed);
    waiting_.store(batch_.waiting(), std::memory_order_relaxed);
    pages_used_.store(batch_.pages().used(), std::memory_order_relaxed);
    pages_kept_.store(batch_.pages().kept(), std::memory_order_relaxed);
    pages_swapped_.store(batch_.swapped(), std::memory_order_relaxed);
    // In this order, and read in the other: nobody sees one that gave way and is not yet a swap.
    swaps_.store(batch_.swaps(), std::memory_order_relaxed);
    preemptions_.store(batch_.preemptions(), std::memory_order_release);
    uncomputed_.store(batch_.uncomputed(), std::memory_order_relaxed);
    next_step_seconds_.store(step_times_.decode_seconds(batch_.running() + 1),
                             std::memory_order_relaxed);
    prompt_token_seconds_.store(step_times_.prompt_token_seconds(), std::memory_order_relaxed);
}

}  // namespace sluice
