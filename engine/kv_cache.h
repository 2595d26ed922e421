// The pool of KV pages: which are empty, which sequences hold which, and which hold a computed
// beginning that a later sequence of the same tenant may begin with. One thread.
//
// A page is empty, or held by one or more sequences, or kept: in the prefix index and held by
// none. Kept pages count as free, for they are emptied whenever a sequence needs more pages than
// are empty: those used longest ago first, and the tail of a text before its beginning (a sequence
// holds a page only with all pages before it, and they are given back tail first). Empty pages
// are taken in the order in which they came back last, so that a lightly loaded engine without
// a prefix cache touches little memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/prefix_index.h"

namespace sluice {

// The pages of one sequence in order: position / page_tokens indexes it.
using PageTable = std::vector<std::int32_t>;

// Where the pages of a sequence that gave way lie in the swap room, from one of its pages on.
struct SwapPlaces {
    int first_page = 0;
    std::vector<std::int32_t> ids;
};

class PagePool {
public:
    // Pages that hold the beginning of some tokens.
    struct Shared {
        PageTable pages;
        std::int64_t kept = 0;  // of them, those that no sequence holds now
    };

    // What would be free if some tables were given back: a page that several have once all of them
    // are. For as long as the pool does not change.
    class Without {
    public:
        explicit Without(const PagePool& pool) : pool_(pool), gone_(pool.pages_.size()) {}
        void take(const PageTable& table);
        std::int64_t free() const { return pool_.free() + freed_; }
        // Of these, those that no sequence would hold.
        std::int64_t kept(const Shared& shared) const;

    private:
        const PagePool& pool_;
        std::vector<std::int32_t> gone_;  // of each page's users
        std::int64_t freed_ = 0;
    };

    PagePool(std::int64_t pages, int page_tokens, PageHash hash = hash_page);

    int pages_for(int tokens) const { return (tokens + page_tokens_ - 1) / page_tokens_; }
    // Makes `table` long enough for `tokens`. Takes all it needs, or nothing and returns false.
    bool grow(PageTable& table, int tokens);
    // Takes back every page of `table` and empties it. What the index has stays in it.
    void give_back(PageTable& table);
    // The same for a sequence that failed: no later one shall begin with what it alone held.
    void give_back_spoilt(PageTable& table);

    Shared find(const std::string& tenant, std::span<const TokenId> tokens) const;
    // Begins an empty `table` with what find() gave just now.
    void share(PageTable& table, const Shared& shared);
    // Lets others share the whole pages of `tokens`, all computed, in `table`, whose first `done`
    // pages were offered before. Where the index has such a page already, `table` gets that one
    // for its own. Returns how many are offered now: fewer than there are when a page's key is
    // another's, and then no further one of this table can be.
    int offer(PageTable& table, int done, const std::string& tenant,
              std::span<const TokenId> tokens);
    // Empties all kept pages.
    void drop_kept();

    std::int64_t free() const { return static_cast<std::int64_t>(empty_.size()) + kept_; }
    std::int64_t kept() const { return kept_; }
    std::int64_t total() const { return total_; }
    std::int64_t used() const { return total_ - free(); }
    int page_tokens() const { return page_tokens_; }
    // The first pages of `table` that other tables have too.
    int held_by_others(const PageTable& table) const;

private:
    // Kept pages are a ring from the one used longest ago to the last one, through an entry behind
    // those of the pages.
    struct Page {
        std::int32_t users = 0;
        std::int32_t older = 0;
        std::int32_t newer = 0;
    };

    const Page& page(std::int32_t id) const { return pages_[static_cast<std::size_t>(id)]; }
    Page& page(std::int32_t id) { return pages_[static_cast<std::size_t>(id)]; }
    void keep(std::int32_t id);
    void stop_keeping(std::int32_t id);
    void hold(std::int32_t id);
    void empty_oldest();
    void let_go(std::int32_t id, bool spoilt);

    std::int64_t total_;
    int page_tokens_;
    PrefixIndex index_;
    std::vector<Page> pages_;
    std::int32_t ring_;  // the entry that closes the ring
    std::int64_t kept_ = 0;
    std::vector<std::int32_t> empty_;  // a stack
};

}  // namespace sluice
