#include "engine/text/token_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace sluice {
namespace {

// Both halves of a 128-bit product, folded: every byte of the key reaches every bit of the hash.
std::uint32_t hash_of(std::string_view key) {
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
    std::uint64_t hash = key.size() * odd;
    while (!key.empty()) {
        std::uint64_t part = 0;
        std::size_t taken = std::min(key.size(), sizeof part);
        std::memcpy(&part, key.data(), taken);
        unsigned __int128 product = static_cast<unsigned __int128>(hash ^ part ^ odd) * odd;
        hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
        key.remove_prefix(taken);
    }
    return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

}  // namespace

TokenTable::TokenTable(std::size_t tokens) : slots_(std::bit_ceil(tokens + tokens / 4 + 1)) {}

std::size_t TokenTable::slot_of(std::string_view key, std::uint32_t hash) const {
    std::size_t at = hash & (slots_.size() - 1);
    for (;; at = (at + 1) & (slots_.size() - 1)) {
        const Slot& slot = slots_[at];
        if (slot.token < 0) return at;
        if (slot.hash == hash && std::string_view(keys_).substr(slot.offset, slot.length) == key)
            return at;
    }
}

bool TokenTable::add(std::string_view key, TokenId token) {
    std::uint32_t hash = hash_of(key);
    Slot& slot = slots_[slot_of(key, hash)];
    if (slot.token >= 0) return false;
    slot = {hash, static_cast<std::uint32_t>(keys_.size()), static_cast<std::uint32_t>(key.size()),
            token};
    keys_ += key;
    return true;
}

TokenId TokenTable::find(std::string_view key) const {
    return slots_[slot_of(key, hash_of(key))].token;
}

void TokenTable::find_each(std::span<const std::string_view> keys, std::span<TokenId> found) const {
    constexpr std::size_t ahead = 32;  // keys on their way to the cache
    std::array<std::uint32_t, ahead> hashes;
    for (std::size_t i = 0; i < keys.size() + ahead; ++i) {
        std::uint32_t& hash = hashes[i % ahead];
        if (i >= ahead) {
            const Slot& slot = slots_[slot_of(keys[i - ahead], hash)];
            found[i - ahead] = slot.token;
        }
        if (i >= keys.size()) continue;
        hash = hash_of(keys[i]);
        __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
    }
}

}  // namespace sluice
