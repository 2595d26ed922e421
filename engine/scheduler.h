// The Engine over a Device: one thread that admits, steps and delivers, and the inbox that other
// threads reach it through. The mutex guards the inbox alone; it is never held during a step or
// while a sink runs.
//
// Every turn of the thread: take the inbox; offer held pieces again; admit; begin a step, or as
// many as the device takes at once; finish the oldest; turn its tokens into pieces and offer those:
// while the device computes the next one already. With nothing to run it sleeps until the inbox
// wakes it; with nothing but held sequences it looks again every few milliseconds. When nothing has
// come for half a second a device that can give memory back rests; with pages kept for prompts that
// begin the same, only after options.cached_idle_ms_max, and they are dropped first.
//
// When the device fails, every sequence ends with FinishReason::failed and nothing is accepted. The
// engine thread then tries to open the device again (reopener.h).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "engine/batch.h"
#include "engine/device.h"
#include "engine/engine.h"
#include "engine/rate_meter.h"
#include "engine/reopener.h"
#include "engine/step_times.h"

namespace sluice {

// An engine from parts. model.context_tokens is cut to options.context_tokens_max and to the
// device's KV pool. Errors: bad_config, naming the option that is out of range.
Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options,
                                            std::unique_ptr<Device> device,
                                            std::shared_ptr<const Tokenizer> tokenizer,
                                            ModelInfo model, Reopening reopening = {});

class Scheduler final : public Engine {
public:
    Scheduler(const EngineOptions& options, std::unique_ptr<Device> device,
              std::shared_ptr<const Tokenizer> tokenizer, ModelInfo model, Reopening reopening);
    ~Scheduler() override;

    Result<SequenceId> submit(std::vector<TokenId> prompt, Sampling sampling, Sink sink,
                              SubmitOptions options = {}) override;
    void cancel(SequenceId id) override;
    Occupancy occupancy() const override;
    const Tokenizer& tokenizer() const override { return *tokenizer_; }
    const ModelInfo& model() const override { return model_; }

private:
    using Clock = std::chrono::steady_clock;
    using Owned = std::unique_ptr<Sequence>;

    Status check(const std::vector<TokenId>& prompt, const Sampling& sampling,
                 const SubmitOptions& options) const;

    // All below: the engine thread only.
    void run();
    bool take_inbox();
    void wait_for_work(bool something_held);
    void rest_until_work(std::unique_lock<std::mutex>& lock);
    bool work_came() const { return stopping_ || !arrived_.empty() || !cancelled_.empty(); }
    void offer_held();
    void offer_finished();
    bool step();
    bool long_step_begun() const;
    bool begin_step();
    void finish_step();
    void count_time();
    void take_chosen(std::span<const Sampled> sampled, const std::vector<Sequence*>& chosen);
    void fail(const std::string& message);
    void try_reopen();
    void end_all(FinishReason reason, const std::string& error);
    void publish();

    const std::size_t alive_max_;
    const std::chrono::milliseconds cached_idle_max_;
    const std::shared_ptr<const Tokenizer> tokenizer_;
    const ModelInfo model_;

    std::mutex mutex_;  // guards the inbox: everything down to wake_
    std::vector<Owned> arrived_;
    std::vector<SequenceId> cancelled_;
    std::unordered_set<SequenceId> alive_;  // accepted, last piece not delivered, not cancelled
    std::size_t leaving_ = 0;               // cancelled, not yet gone
    std::size_t delivering_ = 0;            // alive, but with its last piece at the sink just now
    std::string failure_;                   // why the device is lost; "" while it works
    bool stopping_ = false;
    std::condition_variable wake_;

    std::unique_ptr<Device> device_;  // nullptr while it is lost and can be opened again
    const DeviceInfo device_info_;
    Reopener reopener_;
    Batch batch_;
    std::list<Owned> finished_;  // out of the batch, last piece still to be delivered
    bool failed_ = false;
    // What the steps hold that are begun and not finished, oldest first.
    struct Load {
        int sequences = 0;  // that decode
        int prompt_tokens = 0;
    };
    std::deque<Load> loads_;
    StepTimes step_times_;
    bool was_idle_ = true;  // before the step that is finished next

    std::atomic<SequenceId> last_id_{0};
    std::atomic<bool> up_{true};
    std::atomic<int> running_{0};
    std::atomic<int> waiting_{0};
    std::atomic<std::int64_t> pages_used_{0};
    std::atomic<std::int64_t> pages_kept_{0};
    std::atomic<std::int64_t> pages_swapped_{0};
    std::atomic<std::uint64_t> preemptions_{0};
    std::atomic<std::uint64_t> swaps_{0};
    std::atomic<double> step_seconds_{0.0};
    std::atomic<double> host_gap_seconds_{0.0};
    std::atomic<double> next_step_seconds_{0.0};
    std::atomic<double> prompt_token_seconds_{0.0};
    std::atomic<std::int64_t> uncomputed_{0};
    std::atomic<std::uint64_t> generated_total_{0};
    std::atomic<std::uint64_t> prompt_total_{0};
    std::atomic<std::uint64_t> prefix_hit_total_{0};
    std::atomic<std::uint64_t> loops_total_{0};
    RateMeter rate_;

    std::thread thread_;  // last: it uses all the above
};

}  // namespace sluice
