// Byte strings to token ids: an open-addressing hash table over one copy of all keys, because a
// large vocabulary is half a million look-ups while it loads and one look-up a word afterwards.
// Immutable once filled: any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace sluice {

class TokenTable {
public:
    // At most `tokens` keys, fewer than 2^32 bytes together.
    explicit TokenTable(std::size_t tokens = 0);
    // False, changing nothing, when the key is there already.
    bool add(std::string_view key, TokenId token);
    TokenId find(std::string_view key) const;  // -1 when absent
    // find() of each key into found[i]. Look-ups of a large table wait for memory; many at a
    // time wait together.
    void find_each(std::span<const std::string_view> keys, std::span<TokenId> found) const;

private:
    struct Slot {
        std::uint32_t hash = 0;
        std::uint32_t offset = 0;
        std::uint32_t length = 0;
        TokenId token = -1;  // -1: free
    };
    // Where the key is, or the free slot where it would go.
    std::size_t slot_of(std::string_view key, std::uint32_t hash) const;

    std::vector<Slot> slots_;  // a power of two, at least a fifth of them free
    std::string keys_;
};

}  // namespace sluice
