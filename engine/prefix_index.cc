#include "engine/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <random>

namespace sluice {
namespace {

// Both halves of a 128-bit product: every bit of either factor moves most bits of the result.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Odd, with about half of their bits set: digits of pi (Blowfish's) and of the golden ratio.
constexpr std::uint64_t high_in = 0x243F6A8885A308D3ULL;
constexpr std::uint64_t high_by = 0x13198A2E03707345ULL;
constexpr std::uint64_t low_in = 0xA4093822299F31D1ULL;
constexpr std::uint64_t low_by = 0x9E3779B97F4A7C15ULL;

}  // namespace

PageKey hash_page(const PageKey& before, std::span<const TokenId> tokens) {
    PageKey key = before;
    for (TokenId token : tokens) {
        const std::uint64_t bits = static_cast<std::uint32_t>(token);
        key.high = fold(key.high ^ bits ^ high_in, high_by);
        key.low = fold(std::rotl(key.low, 23) + bits + low_in, low_by);
    }
    return key;
}

PrefixIndex::PrefixIndex(std::int64_t pages, int page_tokens, PageHash hash)
    : page_tokens_(static_cast<std::size_t>(page_tokens)), hash_(hash) {
    assert(pages > 0 && page_tokens > 0);
    nodes_.resize(static_cast<std::size_t>(pages));
    tokens_.resize(nodes_.size() * page_tokens_);
    std::random_device bits;
    auto word = [&] { return static_cast<std::uint64_t>(bits()) << 32 | bits(); };
    secret_ = {word(), word()};
}

PageKey PrefixIndex::start_of(const Tenant& tenant) const {
    return {secret_.high ^ tenant.id, secret_.low + tenant.id};
}

bool PrefixIndex::is(std::int32_t page, const Tenants::value_type* tenant, std::int32_t parent,
                     std::span<const TokenId> tokens) const {
    const Node& found = node(page);
    if (found.tenant != tenant || found.parent != parent) return false;
    auto its = tokens_.begin() +
               static_cast<std::ptrdiff_t>(page) * static_cast<std::ptrdiff_t>(page_tokens_);
    return std::equal(tokens.begin(), tokens.end(), its);
}

std::vector<std::int32_t> PrefixIndex::find(const std::string& tenant,
                                            std::span<const TokenId> tokens) const {
    std::vector<std::int32_t> out;
    const auto known = tenants_.find(tenant);
    if (known == tenants_.end()) return out;
    PageKey key = start_of(known->second);
    std::int32_t parent = no_page;
    for (; tokens.size() >= page_tokens_; tokens = tokens.subspan(page_tokens_)) {
        const auto page_of = tokens.first(page_tokens_);
        key = hash_(key, page_of);
        const auto at = by_key_.find(key);
        if (at == by_key_.end() || !is(at->second, &*known, parent, page_of)) break;
        parent = at->second;
        out.push_back(parent);
    }
    return out;
}

std::int32_t PrefixIndex::insert(const std::string& tenant, std::int32_t parent,
                                 std::span<const TokenId> tokens, std::int32_t page) {
    assert(!has(page) && tokens.size() == page_tokens_);
    auto [known, fresh] = tenants_.try_emplace(tenant);
    if (fresh) known->second.id = ++last_tenant_;
    assert(parent == no_page || node(parent).tenant == &*known);
    const PageKey before = parent == no_page ? start_of(known->second) : node(parent).key;
    const PageKey key = hash_(before, tokens);
    const auto [at, added] = by_key_.try_emplace(key, page);
    if (!added) {
        if (fresh) tenants_.erase(known);
        return is(at->second, fresh ? nullptr : &*known, parent, tokens) ? at->second : no_page;
    }
    node(page) = {key, &*known, parent, 0};
    std::copy(tokens.begin(), tokens.end(),
              tokens_.begin() +
                  static_cast<std::ptrdiff_t>(page) * static_cast<std::ptrdiff_t>(page_tokens_));
    if (parent != no_page) ++node(parent).children;
    ++known->second.pages;
    return page;
}

void PrefixIndex::erase(std::int32_t page) {
    Node& gone = node(page);
    assert(gone.tenant != nullptr && gone.children == 0);
    by_key_.erase(gone.key);
    if (gone.parent != no_page) --node(gone.parent).children;
    const auto tenant = tenants_.find(gone.tenant->first);
    if (--tenant->second.pages == 0) tenants_.erase(tenant);
    gone = Node{};
}

}  // namespace sluice
