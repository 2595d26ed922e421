// The pool of KV pages: which are free, which sequence holds which. One thread. Pages given back
// last are taken first, so that a lightly loaded engine touches little memory.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

// The pages of one sequence in order: position / page_tokens indexes it.
using PageTable = std::vector<std::int32_t>;

class PagePool {
public:
    PagePool(std::int64_t pages, int page_tokens);

    int pages_for(int tokens) const { return (tokens + page_tokens_ - 1) / page_tokens_; }
    // Makes `table` long enough for `tokens`. Takes all it needs, or nothing and returns false.
    bool grow(PageTable& table, int tokens);
    // Takes back every page of `table` and empties it.
    void give_back(PageTable& table);

    std::int64_t free() const { return static_cast<std::int64_t>(free_.size()); }
    std::int64_t total() const { return total_; }
    std::int64_t used() const { return total_ - free(); }
    int page_tokens() const { return page_tokens_; }

private:
    std::int64_t total_;
    int page_tokens_;
    std::vector<std::int32_t> free_;  // a stack
};

}  // namespace sluice
