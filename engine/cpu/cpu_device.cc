#include "engine/cpu/cpu_device.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <numeric>
#include <string>
#include <utility>

#include "engine/cpu/forward.h"
#include "engine/device_checks.h"
#include "engine/machine_memory.h"
#include "engine/sampler.h"

namespace sluice {
namespace {

constexpr int sequences_limit = 4096;
constexpr int tokens_limit = 65536;
constexpr std::int64_t context_at_least = 2048;

class CpuDevice final : public Device {
public:
    CpuDevice(const NetworkDescription& network, ForwardLimits limits, Probe probe,
              std::unique_ptr<ComputeThreads> threads, std::unique_ptr<Forward> forward)
        : vocab_(network.vocab),
          limits_(limits),
          probe_(std::move(probe)),
          threads_(std::move(threads)),
          forward_(std::move(forward)) {
        info_.page_tokens = page_positions;
        info_.pages = limits.pages;
        info_.weight_bytes = forward_->weight_bytes();
        info_.kv_bytes = forward_->kv_bytes();
        info_.rests = true;
        step_.reserve(static_cast<std::size_t>(limits.sequences_max));
        sampled_.reserve(static_cast<std::size_t>(limits.sequences_max));
    }

    const DeviceInfo& info() const override { return info_; }

    Status begin(std::span<const StepSequence> step) override {
        Status checked = check_step(step, {.pages = limits_.pages,
                                           .page_tokens = page_positions,
                                           .tokens_max = limits_.tokens_max,
                                           .sequences_max = limits_.sequences_max,
                                           .vocab = vocab_});
        if (!checked) return checked;
        begun_ = Clock::now();
        time_.gap_seconds = seconds(begun_ - ended_);
        step_.assign(step.begin(), step.end());
        return Done{};
    }

    Result<std::span<const Sampled>> finish() override {
        if (!step_.empty()) forward_->run(step_);
        sampled_.clear();
        sampling_.clear();
        for (const StepSequence& sequence : step_)
            if (sequence.sample) sampling_.push_back(&sequence);
        sampled_.resize(sampling_.size());
        threads_->run(static_cast<int>(sampling_.size()), [&](int index) {
            auto at = static_cast<std::size_t>(index);
            sampled_[at] = sample(forward_->logits(index), *sampling_[at]);
            const std::span<const float> hidden = forward_->last_hidden(index);
            if (!probe_.weights.empty())
                sampled_[at].probe = std::inner_product(hidden.begin(), hidden.end(),
                                                        probe_.weights.begin(), probe_.bias);
            if (sampling_[at]->hidden) sampled_[at].hidden.assign(hidden.begin(), hidden.end());
        });
        step_.clear();
        ended_ = Clock::now();
        time_.seconds = seconds(ended_ - begun_);
        return std::span<const Sampled>(sampled_);
    }

    StepTime step_time() const override { return time_; }

    void rest() override { forward_->rest(); }

private:
    using Clock = std::chrono::steady_clock;
    static double seconds(Clock::duration time) {
        return std::chrono::duration<double>(time).count();
    }

    int vocab_;
    ForwardLimits limits_;
    Probe probe_;
    DeviceInfo info_;
    std::unique_ptr<ComputeThreads> threads_;
    std::unique_ptr<Forward> forward_;
    std::vector<StepSequence> step_;
    std::vector<const StepSequence*> sampling_;
    std::vector<Sampled> sampled_;
    Clock::time_point begun_{}, ended_{};
    StepTime time_;
};

Status check_options(const EngineOptions& options, const NetworkDescription& network) {
    const Status checks[] = {
        check_range("threads", options.threads, 0, compute_threads_max),
        check_range("sequences_max", options.sequences_max, 1, sequences_limit),
        check_range("prefill_tokens_max", options.prefill_tokens_max, 1, tokens_limit),
        check_range("context_tokens_max", options.context_tokens_max, 0, network.context_tokens),
        check_range("kv_tokens", options.kv_tokens, 0, std::int64_t{1} << 31),
    };
    for (const Status& status : checks)
        if (!status) return status;
    Status probed = check_probe(options.probe, network.hidden);
    if (!probed) return probed;
    if (network.head_dim > head_dim_max)
        return Error(Errc::bad_file, "heads of " + std::to_string(network.head_dim) +
                                         " dims; the CPU device takes up to " +
                                         std::to_string(head_dim_max));
    return Done{};
}

// As engine.h says; no more than half of the machine's memory.
std::int64_t default_kv_tokens(const EngineOptions& options, const NetworkDescription& network,
                               std::int64_t weight_bytes) {
    std::int64_t context =
        options.context_tokens_max > 0 ? options.context_tokens_max : network.context_tokens;
    std::int64_t halves = network.head_dim + padded_head_dim(network.head_dim);
    std::int64_t token_bytes = 2 * halves * network.layers * network.kv_heads;
    std::int64_t memory = machine_memory();
    std::int64_t one = options.context_tokens_max > 0 || options.sequences_max == 1
                           ? context
                           : std::min(context, context_at_least);
    std::int64_t shared = std::max(one, weight_bytes / 4 * 3 / token_bytes);
    std::int64_t useful = std::min(shared, options.sequences_max * context);
    return std::max<std::int64_t>(std::min(useful, memory / 2 / token_bytes), page_positions);
}

ForwardLimits limits_of(const EngineOptions& options, const NetworkDescription& network,
                        std::int64_t weight_bytes) {
    std::int64_t kv_tokens = options.kv_tokens > 0
                                 ? options.kv_tokens
                                 : default_kv_tokens(options, network, weight_bytes);
    ForwardLimits limits;
    limits.pages = (kv_tokens + page_positions - 1) / page_positions;
    limits.sequences_max = options.sequences_max;
    limits.tokens_max = options.prefill_tokens_max + options.sequences_max;
    return limits;
}

}  // namespace

Result<std::unique_ptr<Device>> open_cpu_device(const EngineOptions& options,
                                                std::shared_ptr<const ModelFile> file,
                                                const NetworkDescription& network) {
    Status checked = check_options(options, network);
    if (!checked) return checked.error();
    const char* wanted = std::getenv("SLUICE_CPU_KERNELS");  // for tests of each kind
    auto kernels = choose_kernels(wanted == nullptr ? "" : wanted);
    if (!kernels) return kernels.error();
    auto threads = ComputeThreads::start(options.threads);
    if (!threads) return threads.error();
    auto weights = pack_weights(*file, network, **threads);
    if (!weights) return weights.error();
    auto weight_bytes = static_cast<std::int64_t>(weights->memory.bytes());
    ForwardLimits limits = limits_of(options, network, weight_bytes);
    auto forward = Forward::open(network, *std::move(weights), **kernels, limits, **threads);
    if (!forward) return forward.error();
    std::unique_ptr<Device> device = std::make_unique<CpuDevice>(
        network, limits, options.probe, *std::move(threads), *std::move(forward));
    return device;
}

}  // namespace sluice
