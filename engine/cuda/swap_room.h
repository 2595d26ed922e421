// Memory of the host for KV pages of sequences that gave way. The system provides it as it is first
// used, and the GPU is then told of it, block by block (pinned), so that copies go past the CPU;
// where the system refuses to pin more, they wait for the steps under way. The engine thread's
// alone.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/lazy_memory.h"
#include "engine/cuda/attention.h"
#include "engine/device.h"
#include "engine/result.h"

namespace sluice::cuda {

// A page's copy: it lies in a piece for each layer in the pool, and in one in the room.
struct PageCopy {
    std::uint8_t* room = nullptr;
    std::uint8_t* pool = nullptr;  // the first layer's piece
    std::size_t piece = 0;         // bytes
    std::size_t between = 0;       // the beginnings of two layers' pieces in the pool, bytes
    int layers = 0;
    PageMove::To to = PageMove::To::room;
};
// In one go, or layer by layer where these lie farther apart than the GPU's pitch may be: 2 GiB,
// which a small model's many pages exceed. Errors: CudaFailure.
void copy_page(const PageCopy& copy, std::size_t pitch_max, cudaStream_t stream);

class SwapRoom {
public:
    SwapRoom() = default;  // without a place
    // For the pages of `kv`; `tokens` as EngineOptions::kv_swap_tokens. Errors: bad_config (more
    // than three quarters of the memory that the process may take).
    static Result<SwapRoom> open(const KvCache& kv, std::int64_t tokens);
    SwapRoom(SwapRoom&&) = default;
    SwapRoom& operator=(SwapRoom&&) = default;  // onto one without a place
    ~SwapRoom();                                // nothing may be under way

    std::int64_t places() const { return places_; }
    // Enqueues these copies in this order; what it must wait for on `stream` for `most`. Errors:
    // CudaFailure.
    void move(std::span<const PageMove> moves, cudaStream_t stream, std::chrono::milliseconds most);

private:
    std::uint8_t* data_of(std::int32_t place);
    void pin(std::int64_t block);
    bool pinned(std::int32_t place) const;

    KvCache kv_;
    std::int64_t places_ = 0;
    std::int64_t page_bytes_ = 0;
    std::int64_t block_places_ = 1;
    std::int64_t block_bytes_ = 0;
    std::size_t pitch_max_ = 0;
    LazyMemory memory_;
    enum class Block : std::uint8_t { untouched, pinned, plain };
    std::vector<Block> blocks_;
    bool refusal_logged_ = false;
};

}  // namespace sluice::cuda
