#include "engine/cuda/step_plan.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "engine/cuda/memory_plan.h"
#include "engine/cuda/wait.h"

namespace sluice::cuda {
namespace {

constexpr int updates_max = 4096;  // page news copied at once

std::size_t size(int count) { return static_cast<std::size_t>(count); }

}  // namespace

StepPlan::StepPlan(const ForwardLimits& limits, int vocab)
    : limits_(limits),
      adjustments_max_(adjustments_most(vocab, limits.sequences_max, limits.context_max)),
      adjusted_at_(size(vocab), -1),
      pages_known_(size(limits.sequences_max)) {
    place_arrays(rows_of(limits.tokens_max), padded_tokens(limits.sequences_max),
                 tiles_most(limits.tokens_max, limits.sequences_max));
    const std::size_t bytes =
        reinterpret_cast<std::uintptr_t>(updates_) + updates_max * sizeof(PageUpdate);
    for (PinnedMemory& memory : host_memory_) {
        memory = take_pinned_memory(bytes);
        std::memset(memory.get(), 0, bytes);
    }
    const std::size_t adjustments_bytes = size(adjustments_max_) * sizeof(LogitAdjust);
    for (PinnedMemory& memory : adjustments_memory_) memory = take_pinned_memory(adjustments_bytes);
    const std::size_t last_bytes = size(limits.sequences_max) * sizeof(std::int32_t);
    device_memory_ = take_device_memory(bytes);
    adjustments_device_ = take_device_memory(adjustments_bytes);
    last_token_ = take_device_memory(last_bytes);
    device_bytes_ = static_cast<std::int64_t>(bytes + adjustments_bytes + last_bytes);
    if (!device_memory_ || !adjustments_device_ || !last_token_)
        throw NoMemory("the GPU has no memory left for the tables of a step");
    check(cudaMemset(device_memory_.get(), 0, bytes));
    check(cudaMemset(last_token_.get(), 0, last_bytes));
}

// From host_ on, each at the next 256 bytes.
void StepPlan::place_arrays(int rows, int samples, int tiles) {
    auto at = reinterpret_cast<std::uintptr_t>(host_);
    auto take = [&](auto*& pointer, int count) {
        using Value = std::remove_reference_t<decltype(*pointer)>;
        pointer = reinterpret_cast<Value*>(at);
        at += (size(count) * sizeof(Value) + 255) / 256 * 256;
    };
    take(token_, rows);
    take(position_, rows);
    take(slot_, rows);
    take(sample_row_, samples);
    take(params_, samples);
    take(tiles_, tiles);
    take(updates_count_, 1);
    take(updates_, updates_max);
}

// Where the arrays of this step lie.
void StepPlan::measure(std::span<const StepSequence> step) {
    int tokens = 0, samples = 0, tiles = 0;
    for (const StepSequence& sequence : step) {
        const auto count = static_cast<int>(sequence.tokens.size());
        tokens += count;
        samples += sequence.sample;
        if (!decodes(sequence)) tiles += (count + prefill_tile - 1) / prefill_tile;
    }
    const int padded = std::min(padded_tokens(tokens), rows_of(limits_.tokens_max));
    host_ = static_cast<std::uint8_t*>(host_memory_[piece_].get());
    adjustments_host_ = static_cast<LogitAdjust*>(adjustments_memory_[piece_].get());
    piece_ = (piece_ + 1) % pieces;
    place_arrays(tiles == 0 ? padded : tokens, tiles == 0 ? padded : samples, tiles);
}

bool StepPlan::decodes(const StepSequence& sequence) const {
    return limits_.batch_invariant ? sequence.position >= sequence.prompt_tokens
                                   : sequence.tokens.size() == 1;
}

void StepPlan::lay_out(std::span<const StepSequence> step) {
    sizes_ = {};
    samples_ = 0;
    top_logprobs_ = 0;
    adjustments_ = 0;
    news_.clear();
    measure(step);
    std::vector<int> last_row(step.size());
    for (const bool decoding : {true, false})
        for (std::size_t i = 0; i < step.size(); ++i) {
            if (decodes(step[i]) != decoding) continue;
            place_tokens(step[i]);
            last_row[i] = sizes_.tokens - 1;
        }
    for (std::size_t i = 0; i < step.size(); ++i) {
        note_pages(step[i]);
        if (step[i].sample) place_sample(step[i], last_row[i]);
    }
    sizes_.samples = samples_;
    if (sizes_.tiles == 0) pad(std::min(padded_tokens(sizes_.tokens), rows_of(limits_.tokens_max)));
}

bool StepPlan::plain() const { return sizes_.tiles == 0 && sizes_.all_choose(); }

void StepPlan::place_tokens(const StepSequence& sequence) {
    const int first = sizes_.tokens;
    const auto count = static_cast<int>(sequence.tokens.size());
    for (int i = 0; i < count; ++i) {
        token_[first + i] = sequence.tokens[size(i)];
        position_[first + i] = sequence.position + i;
        slot_[first + i] = sequence.slot;
    }
    sizes_.tokens += count;
    if (decodes(sequence)) {
        ++sizes_.decode;
        sizes_.context = std::max(sizes_.context, context_class(sequence.position + 1));
        return;
    }
    for (int i = 0; i < count; i += prefill_tile)
        tiles_[sizes_.tiles++] = {first + i, std::min(prefill_tile, count - i),
                                  sequence.position + i, sequence.slot};
}

// The pages that the device's table does not have yet, or has otherwise: the slot was another's.
void StepPlan::note_pages(const StepSequence& sequence) {
    std::vector<std::int32_t>& known = pages_known_[size(sequence.slot)];
    for (std::size_t i = 0; i < sequence.pages.size(); ++i) {
        if (i < known.size() && known[i] == sequence.pages[i]) continue;
        if (i < known.size())
            known[i] = sequence.pages[i];
        else
            known.push_back(sequence.pages[i]);
        news_.push_back({sequence.slot, static_cast<std::int32_t>(i), sequence.pages[i]});
    }
}

void StepPlan::place_sample(const StepSequence& sequence, int row) {
    const Sampling& sampling = *sequence.sampling;
    SampleParams& params = params_[samples_];
    params = {};
    params.temperature = sampling.temperature;
    params.top_p = sampling.top_p;
    params.min_p = sampling.min_p;
    params.top_k = sampling.top_k;
    params.draw = sequence.draw;
    params.slot = sequence.slot;
    params.top_logprobs = sampling.top_logprobs;
    params.think_end = sampling.thinking.end;
    top_logprobs_ = std::max(top_logprobs_, sampling.top_logprobs);
    adjust(sequence, params);
    sample_row_[samples_++] = row;
}

// The one of the sequence that is being placed, new where it has none yet.
LogitAdjust& StepPlan::adjustment_of(TokenId token) {
    std::int32_t& at = adjusted_at_[size(token)];
    if (at >= 0) return adjustments_host_[at];
    assert(adjustments_ < adjustments_max_);
    at = adjustments_++;
    adjustments_host_[at] = {};
    adjustments_host_[at].token = token;
    return adjustments_host_[at];
}

// Gathers bias and penalties into one adjustment a token. Cheap for those who use none.
void StepPlan::adjust(const StepSequence& sequence, SampleParams& params) {
    const Sampling& s = *sequence.sampling;
    params.adjust_begin = params.adjust_end = adjustments_;
    const bool penalised =
        s.repetition_penalty != 1.0F || s.presence_penalty != 0.0F || s.frequency_penalty != 0.0F;
    if (!penalised && s.logit_bias.empty()) return;
    for (const auto& [token, bias] : s.logit_bias) adjustment_of(token).bias += bias;
    for (std::size_t i = 0; penalised && i < sequence.history.size(); ++i) {
        LogitAdjust& adjust = adjustment_of(sequence.history[i]);
        adjust.repetition = s.repetition_penalty;
        // How often it was answered; the penalty that this makes is worked out below, once a token.
        if (i >= size(sequence.prompt_tokens)) adjust.subtract += 1.0F;
    }
    for (int i = params.adjust_begin; i < adjustments_; ++i) {
        LogitAdjust& adjust = adjustments_host_[i];
        if (adjust.subtract > 0.0F)
            adjust.subtract = s.presence_penalty + adjust.subtract * s.frequency_penalty;
        adjusted_at_[size(adjust.token)] = -1;
    }
    params.adjust_end = adjustments_;
}

void StepPlan::pad(int rows) {
    for (int row = sizes_.tokens; row < rows; ++row) {
        token_[row] = 0;
        position_[row] = 0;
        slot_[row] = -1;
    }
    // Sequences that decode all choose a token, so rows and samples are padded alike.
    if (samples_ == sizes_.tokens) {
        for (int i = samples_; i < rows; ++i) {
            sample_row_[i] = 0;
            params_[i] = {};
            params_[i].slot = -1;
        }
        sizes_.samples = rows;
    }
    sizes_.tokens = sizes_.decode = rows;
}

void StepPlan::upload(std::int32_t* page_table, int page_stride, std::chrono::milliseconds most,
                      cudaStream_t stream) {
    // Only where many long sequences change seats in one step.
    while (news_.size() > size(updates_max)) {
        send(size(updates_max), stream);
        tell_pages(page_table, page_stride, stream);
        wait_done([stream] { return cudaStreamQuery(stream); }, most);
    }
    if (adjustments_ > 0)
        check(cudaMemcpyAsync(adjustments_device_.get(), adjustments_host_,
                              size(adjustments_) * sizeof(LogitAdjust), cudaMemcpyHostToDevice,
                              stream));
    send(news_.size(), stream);
}

void StepPlan::send(std::size_t news, cudaStream_t stream) {
    std::copy_n(news_.begin(), news, updates_);
    news_.erase(news_.begin(), news_.begin() + static_cast<std::ptrdiff_t>(news));
    *updates_count_ = static_cast<std::int32_t>(news);
    const auto bytes =
        static_cast<std::size_t>(reinterpret_cast<std::uint8_t*>(updates_ + news) - host_);
    check(cudaMemcpyAsync(device_memory_.get(), host_, bytes, cudaMemcpyHostToDevice, stream));
}

void StepPlan::tell_pages(std::int32_t* page_table, int page_stride, cudaStream_t stream) const {
    update_pages(at_device(updates_), at_device(updates_count_), page_table, page_stride, stream);
}

StepOnDevice StepPlan::on_device() const {
    StepOnDevice out;
    out.token = at_device(token_);
    out.position = at_device(position_);
    out.slot = at_device(slot_);
    out.sample_row = at_device(sample_row_);
    out.tiles = at_device(tiles_);
    out.last_token = last_token();
    return out;
}

}  // namespace sluice::cuda
