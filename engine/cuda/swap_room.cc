#include "engine/cuda/swap_room.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "engine/cuda/check.h"
#include "engine/cuda/context.h"
#include "engine/cuda/memory_plan.h"
#include "engine/cuda/wait.h"
#include "engine/log.h"
#include "engine/machine_memory.h"

namespace sluice::cuda {
namespace {

// Pinned at once, in 13 to 20 ms, for which the engine waits as each is first used.
constexpr std::int64_t block_bytes_least = std::int64_t{64} << 20;

std::int64_t memory_page() { return ::sysconf(_SC_PAGESIZE); }

}  // namespace

Result<SwapRoom> SwapRoom::open(const KvCache& kv, std::int64_t tokens) {
    SwapRoom out;
    out.kv_ = kv;
    out.page_bytes_ = kv_page_bytes(kv.format, kv.layers, kv.kv_heads, kv.head_dim);
    const std::int64_t machine = machine_memory();
    out.places_ = plan_swap(tokens, kv.pages, out.page_bytes_, machine);
    if (out.places_ == 0) return out;
    const std::int64_t most = machine / 4 * 3 / out.page_bytes_;
    if (out.places_ > most)
        return Error(Errc::bad_config, "kv_swap_tokens asks for " + std::to_string(tokens) +
                                           " tokens; three quarters of the " +
                                           std::to_string(machine >> 20) +
                                           " MiB that this process may take hold " +
                                           std::to_string(most * page_positions));
    out.block_places_ = std::max<std::int64_t>(block_bytes_least / out.page_bytes_, 1);
    const std::int64_t bytes = out.block_places_ * out.page_bytes_;
    out.block_bytes_ = (bytes + memory_page() - 1) / memory_page() * memory_page();
    const std::int64_t blocks = (out.places_ + out.block_places_ - 1) / out.block_places_;
    int pitch = 0;
    check(cudaDeviceGetAttribute(&pitch, cudaDevAttrMaxPitch, 0));
    out.pitch_max_ = static_cast<std::size_t>(pitch);
    auto memory = LazyMemory::take(static_cast<std::size_t>(blocks * out.block_bytes_), true,
                                   "the swap room");
    if (!memory) return memory.error();
    out.memory_ = *std::move(memory);
    out.blocks_.assign(static_cast<std::size_t>(blocks), Block::untouched);
    return out;
}

SwapRoom::~SwapRoom() {
    for (std::size_t i = 0; i < blocks_.size() && !context_hangs(); ++i)
        if (blocks_[i] == Block::pinned)
            (void)cudaHostUnregister(memory_.data() + i * static_cast<std::size_t>(block_bytes_));
}

std::uint8_t* SwapRoom::data_of(std::int32_t place) {
    assert(place >= 0 && place < places_);
    const std::int64_t block = place / block_places_;
    if (blocks_[static_cast<std::size_t>(block)] == Block::untouched) pin(block);
    return memory_.data() + block * block_bytes_ + place % block_places_ * page_bytes_;
}

void SwapRoom::pin(std::int64_t block) {
    const cudaError_t result =
        cudaHostRegister(memory_.data() + block * block_bytes_,
                         static_cast<std::size_t>(block_bytes_), cudaHostRegisterDefault);
    Block& state = blocks_[static_cast<std::size_t>(block)];
    state = result == cudaSuccess ? Block::pinned : Block::plain;
    if (result == cudaSuccess) return;
    if (result != cudaErrorMemoryAllocation && result != cudaErrorNotSupported &&
        result != cudaErrorNotPermitted && result != cudaErrorOperatingSystem)
        check(result);
    (void)cudaGetLastError();
    if (!std::exchange(refusal_logged_, true))
        log_info("cuda_swap_room_not_pinned", {{"reason", cudaGetErrorString(result)}});
}

bool SwapRoom::pinned(std::int32_t place) const {
    return blocks_[static_cast<std::size_t>(place / block_places_)] == Block::pinned;
}

void SwapRoom::move(std::span<const PageMove> moves, cudaStream_t stream,
                    std::chrono::milliseconds most) {
    const auto piece = static_cast<std::size_t>(page_bytes_ / kv_.layers);
    for (const PageMove& one : moves) {
        PageCopy copy;
        copy.room = data_of(one.place);
        copy.pool = kv_.data + static_cast<std::size_t>(one.page) * piece;
        copy.piece = piece;
        copy.between = piece * static_cast<std::size_t>(kv_.pages);
        copy.layers = kv_.layers;
        copy.to = one.to;
        // The call itself would wait, and without a limit.
        if (!pinned(one.place)) wait_done([stream] { return cudaStreamQuery(stream); }, most);
        copy_page(copy, pitch_max_, stream);
    }
}

void copy_page(const PageCopy& copy, std::size_t pitch_max, cudaStream_t stream) {
    const bool out = copy.to == PageMove::To::room;
    const cudaMemcpyKind kind = out ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
    const std::size_t room_between = copy.piece;
    if (copy.between <= pitch_max) {
        const auto layers = static_cast<std::size_t>(copy.layers);
        return check(out ? cudaMemcpy2DAsync(copy.room, room_between, copy.pool, copy.between,
                                             copy.piece, layers, kind, stream)
                         : cudaMemcpy2DAsync(copy.pool, copy.between, copy.room, room_between,
                                             copy.piece, layers, kind, stream));
    }
    for (int layer = 0; layer < copy.layers; ++layer) {
        std::uint8_t* room = copy.room + static_cast<std::size_t>(layer) * room_between;
        std::uint8_t* pool = copy.pool + static_cast<std::size_t>(layer) * copy.between;
        check(cudaMemcpyAsync(out ? room : pool, out ? pool : room, copy.piece, kind, stream));
    }
}

}  // namespace sluice::cuda
