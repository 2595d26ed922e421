#include "engine/text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

namespace sluice {
namespace {

constexpr std::uint32_t no_rank = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t no_node = std::numeric_limits<std::uint32_t>::max();

// Up to this many bytes a plain search for the lowest rank is faster than a heap.
constexpr std::size_t short_bytes = 40;

}  // namespace

Bpe::Bpe(const std::array<TokenId, 256>& byte_tokens, std::size_t merges)
    : byte_tokens_(byte_tokens),
      slots_(std::bit_ceil(merges * 2 + 1)),
      rank_mask_(static_cast<std::uint32_t>(slots_.size() - 1)) {
    merges_.reserve(merges);
}

std::uint32_t Bpe::hash_of(TokenId left, TokenId right) {
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
    std::uint64_t key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
    return static_cast<std::uint32_t>(key * odd >> 32);
}

std::size_t Bpe::slot_of(TokenId left, TokenId right) const {
    const std::uint32_t hash = hash_of(left, right);
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
        std::uint32_t slot = slots_[at];
        if (slot == 0) return at;
        if (((slot ^ hash) & ~rank_mask_) != 0) continue;
        const Merge& merge = merges_[(slot & rank_mask_) - 1];
        if (merge.left == left && merge.right == right) return at;
    }
}

std::uint32_t Bpe::rank_of(TokenId left, TokenId right) const {
    if (left < 0 || right < 0) return no_rank;
    std::uint32_t slot = slots_[slot_of(left, right)];
    return slot == 0 ? no_rank : (slot & rank_mask_) - 1;
}

void Bpe::add(std::span<const Merge> merges) {
    constexpr std::size_t ahead = 16;  // merges on their way to the cache
    for (std::size_t i = 0; i < merges.size(); ++i) {
        if (i + ahead < merges.size()) {
            const Merge& later = merges[i + ahead];
            __builtin_prefetch(&slots_[hash_of(later.left, later.right) & (slots_.size() - 1)]);
        }
        const Merge& merge = merges[i];
        std::uint32_t& slot = slots_[slot_of(merge.left, merge.right)];
        merges_.push_back(merge);
        auto rank_and_1 = static_cast<std::uint32_t>(merges_.size());
        if (slot == 0) slot = (hash_of(merge.left, merge.right) & ~rank_mask_) | rank_and_1;
    }
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    if (word.size() <= short_bytes) return encode_short(word, out);
    start(word, scratch);
    std::vector<std::uint64_t>& heap = scratch.heap;
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        auto node = static_cast<std::uint32_t>(heap.back());
        auto rank = static_cast<std::uint32_t>(heap.back() >> 32);
        heap.pop_back();
        // A pair that changed since has another rank: equal ranks are equal pairs.
        if (scratch.ranks[node] == rank) merge(node, scratch);
    }
    for (std::uint32_t node = 0; node != no_node; node = scratch.next[node])
        if (scratch.ids[node] >= 0) out.push_back(scratch.ids[node]);
}

void Bpe::encode_short(std::string_view word, std::vector<TokenId>& out) const {
    std::array<TokenId, short_bytes> ids;
    std::array<std::uint32_t, short_bytes> ranks;  // of the pair that starts at a token
    std::size_t count = word.size();
    for (std::size_t i = 0; i < count; ++i)
        ids[i] = byte_tokens_[static_cast<unsigned char>(word[i])];
    for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = rank_of(ids[i], ids[i + 1]);
    while (count > 1) {
        auto lowest = std::min_element(ranks.data(), ranks.data() + count - 1);
        if (*lowest == no_rank) break;
        auto at = static_cast<std::size_t>(lowest - ranks.data());
        ids[at] = merges_[*lowest].merged;
        --count;
        std::copy(ids.data() + at + 2, ids.data() + count + 1, ids.data() + at + 1);
        std::copy(ranks.data() + at + 1, ranks.data() + count, ranks.data() + at);
        if (at + 1 < count) ranks[at] = rank_of(ids[at], ids[at + 1]);
        if (at > 0) ranks[at - 1] = rank_of(ids[at - 1], ids[at]);
    }
    for (std::size_t i = 0; i < count; ++i)
        if (ids[i] >= 0) out.push_back(ids[i]);
}

void Bpe::start(std::string_view word, Scratch& scratch) const {
    auto count = static_cast<std::uint32_t>(word.size());
    scratch.ids.resize(count);
    scratch.ranks.resize(count);
    scratch.next.resize(count);
    scratch.previous.resize(count);
    scratch.heap.clear();
    for (std::uint32_t node = 0; node < count; ++node) {
        scratch.ids[node] = byte_tokens_[static_cast<unsigned char>(word[node])];
        scratch.next[node] = node + 1 < count ? node + 1 : no_node;
        scratch.previous[node] = node > 0 ? node - 1 : no_node;
    }
    for (std::uint32_t node = 0; node < count; ++node) set_rank(node, scratch);
}

void Bpe::merge(std::uint32_t node, Scratch& scratch) const {
    std::uint32_t absorbed = scratch.next[node];
    std::uint32_t after = scratch.next[absorbed];
    scratch.ids[node] = merges_[scratch.ranks[node]].merged;
    scratch.next[node] = after;
    if (after != no_node) scratch.previous[after] = node;
    scratch.ranks[absorbed] = no_rank;
    set_rank(node, scratch);
    if (scratch.previous[node] != no_node) set_rank(scratch.previous[node], scratch);
}

void Bpe::set_rank(std::uint32_t node, Scratch& scratch) const {
    std::uint32_t next = scratch.next[node];
    std::uint32_t rank = next == no_node ? no_rank : rank_of(scratch.ids[node], scratch.ids[next]);
    scratch.ranks[node] = rank;
    if (rank == no_rank) return;
    scratch.heap.push_back(static_cast<std::uint64_t>(rank) << 32 | node);
    std::push_heap(scratch.heap.begin(), scratch.heap.end(), std::greater<>());
}

}  // namespace sluice
