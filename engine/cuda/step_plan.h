// A step as the host lays it out for the device: one piece of pinned memory, copied in one go to a
// piece of device memory of the same layout. The engine thread's alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/cuda/embed.h"
#include "engine/cuda/forward.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/sample.h"
#include "engine/device.h"

namespace sluice::cuda {

class StepPlan {
public:
    explicit StepPlan(const ForwardLimits& limits);

    // Lays out the step: sequences with one token first, then the runs of the others. What samples
    // keeps the step's order. Rows are padded up to `tokens_padded(T)` when all decode.
    void lay_out(std::span<const StepSequence> step);
    // Whether the step can be replayed from a graph made for its sizes.
    bool plain() const;
    // Sends what upload() has no room for: adjustments, and news of pages beyond a fixed number.
    void send_ahead(std::int32_t* page_table, int page_stride, cudaStream_t stream);
    // Enqueues the copy to the device, and the news of pages into `page_table`. Of fixed size, so
    // that a graph may hold it.
    void upload(std::int32_t* page_table, int page_stride, cudaStream_t stream);

    const StepSizes& sizes() const { return sizes_; }
    StepOnDevice on_device() const;
    const SampleParams* params_on_device() const { return at_device(params_); }
    const LogitAdjust* adjustments_on_device() const {
        return static_cast<const LogitAdjust*>(adjustments_device_.get());
    }
    bool any_adjusted() const { return !adjustments_.empty(); }
    int samples() const { return samples_; }  // without padding, which sizes() has
    int top_logprobs() const { return top_logprobs_; }
    const std::vector<const StepSequence*>& sampling() const { return sampling_; }
    std::int32_t* last_token() const { return static_cast<std::int32_t*>(last_token_.get()); }

private:
    template <class T>
    T* at_device(T* host) const {
        auto offset =
            reinterpret_cast<std::uint8_t*>(host) - static_cast<std::uint8_t*>(host_memory_.get());
        return reinterpret_cast<T*>(static_cast<std::uint8_t*>(device_memory_.get()) + offset);
    }
    void place_tokens(const StepSequence& sequence);
    void place_sample(const StepSequence& sequence, int last_row);
    void note_pages(const StepSequence& sequence);
    void adjust(const StepSequence& sequence, SampleParams& params);
    void pad();
    void place_news(std::size_t count);

    ForwardLimits limits_;
    PinnedMemory host_memory_;
    DeviceMemory device_memory_;
    DeviceMemory adjustments_device_;
    DeviceMemory last_token_;
    std::size_t bytes_ = 0;

    // Into host_memory_.
    std::int32_t* token_ = nullptr;
    std::int32_t* position_ = nullptr;
    std::int32_t* slot_ = nullptr;
    std::int32_t* sample_row_ = nullptr;
    SampleParams* params_ = nullptr;
    Tile* tiles_ = nullptr;
    PageUpdate* updates_ = nullptr;
    std::int32_t* updates_count_ = nullptr;

    StepSizes sizes_;
    int samples_ = 0;
    int top_logprobs_ = 0;
    std::vector<const StepSequence*> sampling_;
    std::vector<LogitAdjust> adjustments_;
    std::vector<std::vector<std::int32_t>> pages_known_;  // by slot: what page_table holds
    std::vector<PageUpdate> news_;
};

// The number of rows that a decode step of `count` tokens is padded to: a graph serves them all.
int padded_tokens(int count);

}  // namespace sluice::cuda
