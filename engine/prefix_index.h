// Which pages hold which tokens, so that a prompt that begins like an earlier one finds them
// computed. Bookkeeping alone: who holds a page and when it goes is kv_cache.h's. One thread.
//
// A page is found by a chain of 128-bit hashes: its own tokens, all 32 bits of each, after the
// key of the page before it; the chain of each tenant starts at a secret of its own, drawn at
// start. What is found is compared before it is used - the tenant, the page before it and every
// token - so that two prompts whose hashes are equal cost a computation and never share a page.
// Nothing is found across tenants.
//
// Memory, all but the map's nodes taken at open: 4 bytes a token of the pool, 32 a page.
// Time: in proportion to the tokens given, about three nanoseconds each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/text/tokenizer.h"

namespace sluice {

struct PageKey {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    bool operator==(const PageKey&) const = default;
};

// The key of a page of `tokens` behind the page of key `before`.
using PageHash = PageKey (*)(const PageKey& before, std::span<const TokenId> tokens);
PageKey hash_page(const PageKey& before, std::span<const TokenId> tokens);

class PrefixIndex {
public:
    static constexpr std::int32_t no_page = -1;

    // For page ids below `pages`.
    PrefixIndex(std::int64_t pages, int page_tokens, PageHash hash = hash_page);

    // The pages of the longest run of whole pages that `tokens` begin with, in order.
    std::vector<std::int32_t> find(const std::string& tenant,
                                   std::span<const TokenId> tokens) const;
    // Says that `page`, not here yet, holds `tokens` (one page of them) behind `parent`, which is
    // here, or at the beginning where that is no_page. Gives the page that stands for these tokens
    // from now on: `page`, or another that was here first; no_page when the key is another's, and
    // then nothing behind it can be here.
    std::int32_t insert(const std::string& tenant, std::int32_t parent,
                        std::span<const TokenId> tokens, std::int32_t page);
    // Takes out a page that no other stands behind.
    void erase(std::int32_t page);

    bool has(std::int32_t page) const { return node(page).tenant != nullptr; }
    bool has_children(std::int32_t page) const { return node(page).children > 0; }

private:
    struct Tenant {
        std::uint64_t id = 0;
        std::int64_t pages = 0;  // it is forgotten with its last page
    };
    using Tenants = std::unordered_map<std::string, Tenant>;
    struct Node {
        PageKey key;
        const Tenants::value_type* tenant = nullptr;  // nullptr = not here
        std::int32_t parent = no_page;
        std::int32_t children = 0;
    };
    struct KeyBits {
        std::size_t operator()(const PageKey& key) const {
            return static_cast<std::size_t>(key.low);
        }
    };

    const Node& node(std::int32_t page) const { return nodes_[static_cast<std::size_t>(page)]; }
    Node& node(std::int32_t page) { return nodes_[static_cast<std::size_t>(page)]; }
    PageKey start_of(const Tenant& tenant) const;
    bool is(std::int32_t page, const Tenants::value_type* tenant, std::int32_t parent,
            std::span<const TokenId> tokens) const;

    const std::size_t page_tokens_;
    const PageHash hash_;
    PageKey secret_;
    std::uint64_t last_tenant_ = 0;
    std::vector<Node> nodes_;      // by page id
    std::vector<TokenId> tokens_;  // by page id, page_tokens_ each
    std::unordered_map<PageKey, std::int32_t, KeyBits> by_key_;
    Tenants tenants_;
};

}  // namespace sluice
