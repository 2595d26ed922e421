// A step as the host lays it out for the device: one piece of pinned memory, copied in one go to a
// piece of device memory of the same layout. Everything lies packed, so that a step of few tokens
// is a short copy; where things lie depends on the step's sizes alone, which graphs are made for.
// There is a piece of pinned memory for each step that is under way. The engine thread's alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cuda/embed.h"
#include "engine/cuda/forward.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/sample.h"
#include "engine/cuda/step_sizes.h"
#include "engine/device.h"

namespace sluice::cuda {

class StepPlan {
public:
    // `vocab`: token ids are below it.
    StepPlan(const ForwardLimits& limits, int vocab);

    // Lays out the step: sequences with one token first, then the runs of the others. What samples
    // keeps the step's order. Rows are padded up to `padded_tokens(T)` when all decode. The piece
    // of pinned memory is the one used `pieces` steps ago.
    void lay_out(std::span<const StepSequence> step);
    // Whether the step can be replayed from a graph made for its sizes, and for whether it has
    // adjustments and top logprobs.
    bool plain() const;
    // Enqueues the copy to the device. What it has no room for goes ahead of it: adjustments, and
    // news of pages beyond a fixed number.
    void upload(std::int32_t* page_table, int page_stride, std::chrono::milliseconds most,
                cudaStream_t stream);
    // Enqueues the news of pages into `page_table`.
    void tell_pages(std::int32_t* page_table, int page_stride, cudaStream_t stream) const;

    static constexpr int pieces = 2;

    const StepSizes& sizes() const { return sizes_; }
    StepOnDevice on_device() const;
    const SampleParams* params_on_device() const { return at_device(params_); }
    LogitAdjust* adjustments_on_device() const {
        return static_cast<LogitAdjust*>(adjustments_device_.get());
    }
    bool any_adjusted() const { return adjustments_ > 0; }
    int samples() const { return samples_; }  // without padding, which sizes() has
    int top_logprobs() const { return top_logprobs_; }
    std::int32_t* last_token() const { return static_cast<std::int32_t*>(last_token_.get()); }
    std::int64_t device_bytes() const { return device_bytes_; }

private:
    template <class T>
    T* at_device(T* host) const {
        return reinterpret_cast<T*>(static_cast<std::uint8_t*>(device_memory_.get()) +
                                    (reinterpret_cast<std::uint8_t*>(host) - host_));
    }
    void place_arrays(int rows, int samples, int tiles);
    void measure(std::span<const StepSequence> step);
    // Else its tokens are a run of a prompt. Batch invariance: the same for a token in any step.
    bool decodes(const StepSequence& sequence) const;
    void place_tokens(const StepSequence& sequence);
    void place_sample(const StepSequence& sequence, int last_row);
    void note_pages(const StepSequence& sequence);
    void adjust(const StepSequence& sequence, SampleParams& params);
    LogitAdjust& adjustment_of(TokenId token);
    void pad(int rows);
    void send(std::size_t news, cudaStream_t stream);

    ForwardLimits limits_;
    int adjustments_max_;
    PinnedMemory host_memory_[pieces];
    DeviceMemory device_memory_;
    PinnedMemory adjustments_memory_[pieces];
    LogitAdjust* adjustments_host_ = nullptr;  // the piece of this step
    DeviceMemory adjustments_device_;
    DeviceMemory last_token_;
    std::int64_t device_bytes_ = 0;
    int piece_ = 0;
    std::uint8_t* host_ = nullptr;  // the piece of this step

    // Into host_.
    std::int32_t* token_ = nullptr;
    std::int32_t* position_ = nullptr;
    std::int32_t* slot_ = nullptr;
    std::int32_t* sample_row_ = nullptr;
    SampleParams* params_ = nullptr;
    Tile* tiles_ = nullptr;
    std::int32_t* updates_count_ = nullptr;
    PageUpdate* updates_ = nullptr;  // last: as many as there are

    StepSizes sizes_;
    int samples_ = 0;
    int top_logprobs_ = 0;
    int adjustments_ = 0;
    std::vector<std::int32_t> adjusted_at_;  // by token, of one sequence: where; -1 = nowhere
    std::vector<std::vector<std::int32_t>> pages_known_;  // by slot: what page_table holds
    std::vector<PageUpdate> news_;
};

}  // namespace sluice::cuda
