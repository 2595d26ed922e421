#include "engine/kv_cache.h"

#include <algorithm>
#include <cassert>

namespace sluice {

PagePool::PagePool(std::int64_t pages, int page_tokens, PageHash hash)
    : total_(pages),
      page_tokens_(page_tokens),
      index_(pages, page_tokens, hash),
      pages_(static_cast<std::size_t>(pages) + 1),
      ring_(static_cast<std::int32_t>(pages)) {
    page(ring_).older = page(ring_).newer = ring_;
    empty_.reserve(static_cast<std::size_t>(pages));
    for (std::int64_t id = pages; id > 0; --id) empty_.push_back(static_cast<std::int32_t>(id - 1));
}

void PagePool::keep(std::int32_t id) {
    Page& last = page(page(ring_).older);
    page(id).older = page(ring_).older;
    page(id).newer = ring_;
    last.newer = page(ring_).older = id;
    ++kept_;
}

void PagePool::stop_keeping(std::int32_t id) {
    page(page(id).older).newer = page(id).newer;
    page(page(id).newer).older = page(id).older;
    --kept_;
}

void PagePool::hold(std::int32_t id) {
    if (page(id).users++ == 0) stop_keeping(id);
}

void PagePool::empty_oldest() {
    const std::int32_t id = page(ring_).newer;
    assert(id != ring_);
    stop_keeping(id);
    index_.erase(id);
    empty_.push_back(id);
}

void PagePool::let_go(std::int32_t id, bool spoilt) {
    assert(page(id).users > 0);
    if (--page(id).users > 0) return;
    // What others have computed behind it without a fault was not spoilt by it.
    if (spoilt && index_.has(id) && !index_.has_children(id)) index_.erase(id);
    if (index_.has(id))
        keep(id);
    else
        empty_.push_back(id);
}

bool PagePool::grow(PageTable& table, int tokens) {
    const auto wanted = static_cast<std::size_t>(pages_for(tokens));
    if (wanted <= table.size()) return true;
    const std::size_t more = wanted - table.size();
    if (static_cast<std::int64_t>(more) > free()) return false;
    while (empty_.size() < more) empty_oldest();
    while (table.size() < wanted) {
        table.push_back(empty_.back());
        page(empty_.back()).users = 1;
        empty_.pop_back();
    }
    return true;
}

void PagePool::give_back(PageTable& table) {
    for (auto id = table.rbegin(); id != table.rend(); ++id) let_go(*id, false);
    table.clear();
}

void PagePool::give_back_spoilt(PageTable& table) {
    for (auto id = table.rbegin(); id != table.rend(); ++id) let_go(*id, true);
    table.clear();
}

PagePool::Shared PagePool::find(const std::string& tenant, std::span<const TokenId> tokens) const {
    Shared out;
    if (tenant.empty()) return out;
    out.pages = index_.find(tenant, tokens);
    for (std::int32_t id : out.pages) out.kept += page(id).users == 0;
    return out;
}

void PagePool::share(PageTable& table, const Shared& shared) {
    assert(table.empty());
    for (std::int32_t id : shared.pages) hold(id);
    table = shared.pages;
}

int PagePool::offer(PageTable& table, int done, const std::string& tenant,
                    std::span<const TokenId> tokens) {
    const auto size = static_cast<std::size_t>(page_tokens_);
    auto at = static_cast<std::size_t>(done);
    for (; (at + 1) * size <= tokens.size(); ++at) {
        const std::int32_t parent = at == 0 ? PrefixIndex::no_page : table[at - 1];
        const std::int32_t known =
            index_.insert(tenant, parent, tokens.subspan(at * size, size), table[at]);
        if (known == PrefixIndex::no_page) break;
        if (known == table[at]) continue;
        hold(known);
        let_go(table[at], false);
        table[at] = known;
    }
    return static_cast<int>(at);
}

void PagePool::Without::take(const PageTable& table) {
    for (std::int32_t id : table)
        freed_ += ++gone_[static_cast<std::size_t>(id)] == pool_.page(id).users;
}

std::int64_t PagePool::Without::kept(const Shared& shared) const {
    return std::count_if(shared.pages.begin(), shared.pages.end(), [this](std::int32_t id) {
        return gone_[static_cast<std::size_t>(id)] == pool_.page(id).users;
    });
}

int PagePool::held_by_others(const PageTable& table) const {
    int count = 0;
    while (count < std::ssize(table) && page(table[static_cast<std::size_t>(count)]).users > 1)
        ++count;
    return count;
}

void PagePool::drop_kept() {
    while (kept_ > 0) empty_oldest();
}

}  // namespace sluice
