// Byte-pair encoding of one word: starting from its bytes, the adjacent pair whose merge has the
// lowest rank (the leftmost of equals) becomes one token, until no pair merges.
// Built once, then immutable: any thread, each with its own Scratch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace sluice {

class Bpe {
public:
    // Work space of long words, kept by the caller so that encoding allocates nothing once it
    // has grown. A node is a token of the word, named by the place of its first byte.
    struct Scratch {
        std::vector<TokenId> ids;
        std::vector<std::uint32_t> ranks;  // of the pair that a node makes with the next one
        std::vector<std::uint32_t> next;
        std::vector<std::uint32_t> previous;
        std::vector<std::uint64_t> heap;  // rank << 32 | node, the smallest on top
    };

    // `byte_tokens`: the token of each byte, -1 where the vocabulary has none; such a byte merges
    // with nothing and is left out. At most `merges` merges.
    Bpe(const std::array<TokenId, 256>& byte_tokens, std::size_t merges);
    struct Merge {
        TokenId left = -1;
        TokenId right = -1;
        TokenId merged = -1;
    };
    // In the order of rank; a pair that is there already keeps its first rank.
    void add(std::span<const Merge> merges);

    // Appends the word's tokens. At most 2^32 - 2 bytes. Time n log n.
    void encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;

private:
    static std::uint32_t hash_of(TokenId left, TokenId right);
    std::size_t slot_of(TokenId left, TokenId right) const;
    std::uint32_t rank_of(TokenId left, TokenId right) const;
    void encode_short(std::string_view word, std::vector<TokenId>& out) const;
    void start(std::string_view word, Scratch& scratch) const;
    void merge(std::uint32_t node, Scratch& scratch) const;
    void set_rank(std::uint32_t node, Scratch& scratch) const;

    std::array<TokenId, 256> byte_tokens_;
    std::vector<Merge> merges_;  // by rank
    // Pairs by hash, in open addressing: a power of two, at least half of them free. A slot has the
    // rank + 1 in its low bits and the hash's other bits above, which spares most looks at merges_;
    // 0: free.
    std::vector<std::uint32_t> slots_;
    std::uint32_t rank_mask_;
};

}  // namespace sluice
