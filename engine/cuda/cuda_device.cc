#include "engine/cuda/cuda_device.h"

#include <algorithm>
#include <chrono>
#include <compare>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/context.h"
#include "engine/cuda/failure_text.h"
#include "engine/cuda/find_gpu.h"
#include "engine/cuda/flight.h"
#include "engine/cuda/forward.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/memory_plan.h"
#include "engine/cuda/opening.h"
#include "engine/cuda/probe.h"
#include "engine/cuda/sample.h"
#include "engine/cuda/step_plan.h"
#include "engine/cuda/swap_room.h"
#include "engine/cuda/wait.h"
#include "engine/device_checks.h"
#include "engine/log.h"

namespace sluice {
namespace {

using namespace cuda;

constexpr std::size_t graphs_max = 96;  // 20 numbers of rows, 4 of contexts; few have more kinds

struct GraphKey {
    int tokens, context;
    bool adjusted, top_logprobs;
    auto operator<=>(const GraphKey&) const = default;
};

// A captured decode step, and whether its sizes have been run once: the library times its ways on
// the first run, which a capture could not.
struct CapturedStep {
    bool seen = false;
    GraphExec graph;
};

// What a failed call leaves: in words for whoever waits, and where it was for the log.
Error failed(const std::string& said, const CudaFailure& failure) {
    const FailureText text = text_of(failure);
    if (!text.place.empty())
        log_error("cuda_call_failed", {{"message", text.words}, {"at", text.place}});
    return {Errc::device_failed, said + text.words};
}

class CudaDevice final : public Device {
public:
    CudaDevice(Stream stream, const NetworkDescription& network, const EngineOptions& options,
               const ForwardLimits& limits, std::unique_ptr<Forward> forward)
        : stream_(std::move(stream)),
          vocab_(network.vocab),
          tokens_(network.tokens),
          hidden_(network.hidden),
          limits_(limits),
          forward_(std::move(forward)),
          plan_(limits, network.vocab),
          probe_bias_(options.probe.bias),
          step_most_(options.step_ms_max) {
        const auto seats = static_cast<std::size_t>(padded_tokens(limits.sequences_max));
        take(workspace_, sample_workspace_bytes(static_cast<int>(seats)));
        take(results_, seats * sizeof(SampleResult));
        take(top_, seats * top_logprobs_max * sizeof(TopLogprob));
        take_probe(options.probe.weights, seats);
        for (std::size_t i = 0; i < flights_max; ++i)
            flights_.emplace_back(seats, static_cast<std::size_t>(hidden_));
        info_.page_tokens = page_positions;
        info_.weight_bytes = forward_->weight_bytes();
        info_.steps_max = StepPlan::pieces;
    }
    ~CudaDevice() override {
        if (!ends(stream_.get(), step_most_)) context_.lost();
    }

    // Last: it may take all that is left. Errors: bad_config.
    Status take_kv(std::int64_t swap_tokens) {
        Status taken = forward_->take_kv(stream_.get());
        if (!taken) return taken;
        info_.pages = forward_->kv().pages;
        info_.kv_bytes = forward_->kv_bytes();
        Result<SwapRoom> room = SwapRoom::open(forward_->kv(), swap_tokens);
        if (!room) return room.error();
        swap_room_ = *std::move(room);
        info_.swap_pages = swap_room_.places();
        return Done{};
    }

    MemoryShares memory() const {
        std::size_t free = 0, card = 0;
        check(cudaMemGetInfo(&free, &card));
        MemoryShares out;
        out.card = static_cast<std::int64_t>(card);
        out.weights = forward_->weight_bytes();
        out.activations = forward_->activation_bytes();
        out.products = forward_->product_bytes();
        out.steps = plan_.device_bytes() + sampler_bytes_;
        out.kv = forward_->kv_bytes();
        out.free = static_cast<std::int64_t>(free);
        return out;
    }

    const DeviceInfo& info() const override { return info_; }

    Status begin(std::span<const StepSequence> step) override {
        Status fine = check_fits(step);
        if (!fine) return fine;
        if (step.empty()) return Done{};
        Flight& flight = flights_[begun_++ % flights_max];
        flight.asked.clear();
        for (const StepSequence& sequence : step)
            if (sequence.sample)
                flight.asked.push_back(
                    {sequence.slot, sequence.sampling->top_logprobs, sequence.hidden});
        try {
            plan_.lay_out(step);
            check(cudaEventRecord(flight.begun.get(), stream_.get()));
            plan_.upload(forward_->page_table(), forward_->page_stride(), step_most_,
                         stream_.get());
            run_step();
            fetch_results(flight);
            check(cudaEventRecord(flight.done.get(), stream_.get()));
        } catch (const CudaFailure& failure) {
            --begun_;  // nothing of it is to be waited for
            return failed("", failure);
        }
        return Done{};
    }

    Status move_pages(std::span<const PageMove> moves) override {
        for (const PageMove& one : moves)
            if (one.page < 0 || one.page >= info_.pages || one.place < 0 ||
                one.place >= info_.swap_pages)
                return Error(Errc::internal, "a page is to move from or to where none is");
        try {
            swap_room_.move(moves, stream_.get(), step_most_);
        } catch (const CudaFailure& failure) {
            return failed("", failure);
        }
        return Done{};
    }

    Result<std::span<const Sampled>> finish() override {
        sampled_.clear();
        if (finished_ == begun_) return std::span<const Sampled>(sampled_);
        const Flight& flight = flights_[finished_ % flights_max];
        const Flight& before = flights_[(finished_ + flights_max - 1) % flights_max];
        try {
            wait_done([&] { return cudaEventQuery(flight.done.get()); }, step_most_);
            time_.seconds = seconds_between(flight.begun, flight.done);
            if (finished_ > 0) time_.gap_seconds = seconds_between(before.done, flight.begun);
        } catch (const CudaFailure& failure) {
            return failed("the GPU's step failed: ", failure);
        }
        ++finished_;
        for (std::size_t i = 0; i < flight.asked.size(); ++i)
            sampled_.push_back(flight.sampled(i, tokens_, static_cast<std::size_t>(hidden_),
                                              forward_->last_hidden_is_bf16()));
        return std::span<const Sampled>(sampled_);
    }

    StepTime step_time() const override { return time_; }

    Status calibrate(std::span<const TokenId> text) override {
        if (limits_.kv_format != KvFormat::fp8_e4m3 || text.empty()) return Done{};
        const std::size_t context =
            static_cast<std::size_t>(forward_->page_stride()) * page_positions;
        StepSequence sequence;
        sequence.tokens = text.first(
            std::min({text.size(), context, static_cast<std::size_t>(limits_.tokens_max)}));
        sequence.prompt_tokens = static_cast<int>(sequence.tokens.size());
        std::vector<std::int32_t> pages((sequence.tokens.size() - 1) / page_positions + 1);
        std::iota(pages.begin(), pages.end(), 0);
        sequence.pages = pages;
        try {
            plan_.lay_out({&sequence, 1});
            plan_.upload(forward_->page_table(), forward_->page_stride(), step_most_,
                         stream_.get());
            plan_.tell_pages(forward_->page_table(), forward_->page_stride(), stream_.get());
            return forward_->calibrate(plan_.on_device(), plan_.sizes(), stream_.get());
        } catch (const CudaFailure& failure) {
            return failed("", failure);
        }
    }

private:
    // Two under way, and the one before them: when it ended is asked for.
    static constexpr std::size_t flights_max = StepPlan::pieces + 1;

    // As every device, and what the page table and the places of adjustments hold.
    Status check_fits(std::span<const StepSequence> step) const {
        if (begun_ - finished_ >= StepPlan::pieces)
            return Error(Errc::internal, "more steps are begun at once than the device takes");
        for (const StepSequence& sequence : step)
            if (sequence.slot < 0 || sequence.slot >= limits_.sequences_max ||
                sequence.pages.size() > static_cast<std::size_t>(forward_->page_stride()))
                return Error(Errc::internal, "a step's tokens have no KV pages");
        for (const StepSequence& sequence : step)
            if (sequence.sample &&
                (sequence.history.size() > static_cast<std::size_t>(limits_.context_max) ||
                 sequence.sampling->logit_bias.size() > Sampling::logit_bias_max))
                return Error(Errc::internal, "a sequence has more tokens to adjust than places");
        return check_step(step, {.pages = info_.pages,
                                 .page_tokens = page_positions,
                                 .tokens_max = limits_.tokens_max,
                                 .sequences_max = limits_.sequences_max,
                                 .vocab = vocab_,
                                 .follows = begun_ > finished_});
    }

    void take(DeviceMemory& memory, std::size_t bytes) {
        memory = take_device_memory(bytes);
        if (!memory) throw NoMemory("the GPU has no memory left for the sampler");
        sampler_bytes_ += static_cast<std::int64_t>(bytes);
    }

    void take_probe(const std::vector<float>& weights, std::size_t seats) {
        if (weights.empty()) return;
        const std::size_t bytes = weights.size() * sizeof(float);
        take(probe_weights_, bytes);
        take(probe_values_, seats * sizeof(float));
        check(cudaMemcpy(probe_weights_.get(), weights.data(), bytes, cudaMemcpyHostToDevice));
    }

    // A step in which all decode is replayed from its graph; others are launched one by one.
    void run_step() {
        const StepSizes& sizes = plan_.sizes();
        if (!plan_.plain()) return enqueue();
        const GraphKey key{sizes.tokens, sizes.context, plan_.any_adjusted(),
                           plan_.top_logprobs() > 0};
        if (graphs_.size() >= graphs_max && !graphs_.contains(key)) graphs_.clear();
        CapturedStep& captured = graphs_[key];
        if (!std::exchange(captured.seen, true)) return enqueue();
        if (!captured.graph) captured.graph = capture();
        check(cudaGraphLaunch(captured.graph.get(), stream_.get()));
    }

    void enqueue() {
        plan_.tell_pages(forward_->page_table(), forward_->page_stride(), stream_.get());
        forward_->run(plan_.on_device(), plan_.sizes(), stream_.get());
        if (plan_.sizes().samples > 0) choose_tokens();
    }

    GraphExec capture() {
        Capture capturing(stream_.get());
        enqueue();
        const Graph graph = capturing.end();
        cudaGraphExec_t exec = nullptr;
        check(cudaGraphInstantiate(&exec, graph.get(), 0));
        return GraphExec(exec);
    }

    void choose_tokens() {
        SampleArguments a;
        a.logits = forward_->logits();
        a.stride = vocab_;
        a.V = tokens_;
        a.S = plan_.sizes().samples;
        a.params = plan_.params_on_device();
        a.adjustments = plan_.adjustments_on_device();
        a.any_adjusted = plan_.any_adjusted();
        a.top_logprobs = plan_.top_logprobs();
        a.results = static_cast<SampleResult*>(results_.get());
        a.top = static_cast<TopLogprob*>(top_.get());
        a.last_token = plan_.last_token();
        a.workspace = workspace_.get();
        if (probe_weights_) {
            auto* values = static_cast<float*>(probe_values_.get());
            cuda::probe(forward_->last_hidden(), forward_->last_hidden_is_bf16(),
                        static_cast<const float*>(probe_weights_.get()), probe_bias_, values, a.S,
                        hidden_, stream_.get());
            a.probe = values;
        }
        cuda::sample(a, stream_.get());
    }

    void fetch(const PinnedMemory& to, const void* from, std::size_t bytes) {
        check(cudaMemcpyAsync(to.get(), from, bytes, cudaMemcpyDeviceToHost, stream_.get()));
    }

    void fetch_results(const Flight& flight) {
        const std::size_t count = flight.asked.size();
        if (count == 0) return;
        fetch(flight.results, results_.get(), count * sizeof(SampleResult));
        if (plan_.top_logprobs() > 0)
            fetch(flight.top, top_.get(), count * top_logprobs_max * sizeof(TopLogprob));
        if (std::any_of(flight.asked.begin(), flight.asked.end(),
                        [](const Flight::Asked& asked) { return asked.hidden; }))
            fetch(flight.hidden, forward_->last_hidden(),
                  count * static_cast<std::size_t>(hidden_) * sizeof(f16));
    }

    LostContext context_;  // destroyed last
    Stream stream_;
    int vocab_;   // rows of logits
    int tokens_;  // of which so many are tokens
    int hidden_;
    ForwardLimits limits_;
    DeviceInfo info_;
    std::unique_ptr<Forward> forward_;
    StepPlan plan_;
    SwapRoom swap_room_;
    DeviceMemory workspace_, results_, top_;
    DeviceMemory probe_weights_, probe_values_;
    std::int64_t sampler_bytes_ = 0;
    float probe_bias_;
    std::chrono::milliseconds step_most_;
    std::vector<Flight> flights_;
    std::uint64_t begun_ = 0, finished_ = 0;
    StepTime time_;
    std::map<GraphKey, CapturedStep> graphs_;
    std::vector<Sampled> sampled_;
};

void log_plan(const MemoryShares& shares, const DeviceInfo& info) {
    const MemoryLine mib = memory_line(shares);
    log_info("cuda_memory_plan", {{"card_mib", mib.card},
                                  {"weights_mib", mib.weights},
                                  {"activations_mib", mib.activations},
                                  {"products_mib", mib.products},
                                  {"steps_mib", mib.steps},
                                  {"kv_mib", mib.kv},
                                  {"free_mib", mib.free},
                                  {"other_mib", mib.other},
                                  {"kv_tokens", info.pages * info.page_tokens},
                                  {"kv_swap_tokens", info.swap_pages * info.page_tokens}});
}

ForwardLimits limits_of(const EngineOptions& options, const NetworkDescription& network) {
    ForwardLimits limits;
    limits.tokens_max = options.prefill_tokens_max + options.sequences_max;
    limits.sequences_max = options.sequences_max;
    limits.context_max =
        options.context_tokens_max > 0 ? options.context_tokens_max : network.context_tokens;
    limits.kv_tokens = options.kv_tokens;
    limits.kv_format = options.kv_format == "fp8" ? KvFormat::fp8_e4m3 : KvFormat::bf16;
    limits.batch_invariant = options.batch_invariant;
    return limits;
}

Status check_fp8_here(const EngineOptions& o, const ModelFile& file, const NetworkDescription& n) {
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
    return check_fp8(o, file, n, major, minor);
}

}  // namespace

Result<std::unique_ptr<Device>> open_cuda_device(const EngineOptions& options,
                                                 std::shared_ptr<const ModelFile> file,
                                                 const NetworkDescription& network) {
    Status fine = check_opening(options, *file, network);
    if (!fine) return fine.error();
    if (context_hangs())
        return Error(Errc::device_failed,
                     "a kernel of this process hangs on the GPU; a restart of the process ends it");
    try {
        // An opening that failed may have left its error behind for the next who asks.
        (void)cudaGetLastError();
        fine = find_gpu();
        if (fine) fine = check_fp8_here(options, *file, network);
        if (!fine) return fine.error();
        Stream stream = make_stream();
        const ForwardLimits limits = limits_of(options, network);
        auto forward = Forward::open(*file, network, limits, stream.get());
        if (!forward) return forward.error();
        auto device = std::make_unique<CudaDevice>(std::move(stream), network, options, limits,
                                                   *std::move(forward));
        fine = device->take_kv(options.kv_swap_tokens);
        if (!fine) return fine.error();
        log_plan(device->memory(), device->info());
        return std::unique_ptr<Device>(std::move(device));
    } catch (const NoMemory& failure) {
        std::string text = failure.what();
        text += "; lower sequences_max, context_tokens_max or prefill_tokens_max";
        return Error(Errc::bad_config, text);
    } catch (const CudaFailure& failure) {
        LostContext context;
        if (cudaDeviceSynchronize() != cudaSuccess) context.lost();
        // Seen on an H100: after a kernel's fault no call of the process gets the card again.
        const bool once_lost = contexts_replaced() > 0;
        Error error = failed("", failure);
        if (once_lost)
            error.message +=
                "; a process whose kernel failed may need a restart to get its GPU back";
        return error;
    }
}

}  // namespace sluice
