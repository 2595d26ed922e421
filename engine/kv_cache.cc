#include "engine/kv_cache.h"

#include <cassert>

namespace sluice {

PagePool::PagePool(std::int64_t pages, int page_tokens) : total_(pages), page_tokens_(page_tokens) {
    assert(pages > 0 && page_tokens > 0);
    free_.reserve(static_cast<std::size_t>(pages));
    for (std::int64_t page = pages; page > 0; --page)
        free_.push_back(static_cast<std::int32_t>(page - 1));
}

bool PagePool::grow(PageTable& table, int tokens) {
    auto wanted = static_cast<std::size_t>(pages_for(tokens));
    if (wanted <= table.size()) return true;
    if (wanted - table.size() > free_.size()) return false;
    while (table.size() < wanted) {
        table.push_back(free_.back());
        free_.pop_back();
    }
    return true;
}

void PagePool::give_back(PageTable& table) {
    for (auto page = table.rbegin(); page != table.rend(); ++page) free_.push_back(*page);
    table.clear();
    assert(free() <= total_);
}

}  // namespace sluice
