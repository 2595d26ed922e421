#include "engine/prefix_index.h"

#include <catch2/catch.hpp>
#include <set>

#include "engine/kv_cache.h"

using namespace sluice;

namespace {

constexpr int page_tokens = 4;
using Pages = std::vector<std::int32_t>;

std::vector<TokenId> text(std::initializer_list<int> pages) {
    std::vector<TokenId> out;
    for (int page : pages)
        for (int i = 0; i < page_tokens; ++i) out.push_back(page * 1000 + i);
    return out;
}

// Puts all whole pages of `tokens` into the index under the given ids.
void put(PrefixIndex& index, const std::string& tenant, const std::vector<TokenId>& tokens,
         const Pages& ids) {
    std::int32_t parent = PrefixIndex::no_page;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        std::span<const TokenId> page(tokens.data() + i * page_tokens, page_tokens);
        REQUIRE(index.insert(tenant, parent, page, ids[i]) == ids[i]);
        parent = ids[i];
    }
}

PageKey all_the_same(const PageKey&, std::span<const TokenId>) { return {1, 1}; }

}  // namespace

TEST_CASE("the longest known beginning is found, in whole pages", "[prefix]") {
    PrefixIndex index(10, page_tokens);
    put(index, "acme", text({1, 2, 3}), {7, 8, 9});
    CHECK(index.find("acme", text({1, 2, 3, 4})) == Pages{7, 8, 9});
    CHECK(index.find("acme", text({1, 2, 4})) == Pages{7, 8});
    CHECK(index.find("acme", text({2, 3})).empty());  // the same tokens, not at the beginning
    std::vector<TokenId> part = text({1, 2});
    part.pop_back();
    CHECK(index.find("acme", part) == Pages{7});
    CHECK(index.find("acme", {}).empty());
}

TEST_CASE("nothing is found across tenants", "[prefix]") {
    PrefixIndex index(10, page_tokens);
    put(index, "acme", text({1, 2}), {0, 1});
    CHECK(index.find("zeta", text({1, 2})).empty());
    put(index, "zeta", text({1, 2}), {2, 3});
    CHECK(index.find("zeta", text({1, 2})) == Pages{2, 3});
    CHECK(index.find("acme", text({1, 2})) == Pages{0, 1});
}

TEST_CASE("tokens that differ in any bit have another key", "[prefix]") {
    std::set<std::pair<std::uint64_t, std::uint64_t>> keys;
    std::size_t count = 0;
    for (int at = 0; at < page_tokens; ++at)
        for (int bit = 0; bit < 32; ++bit) {
            std::vector<TokenId> tokens(page_tokens, 5);
            auto& token = tokens[static_cast<std::size_t>(at)];
            token = static_cast<TokenId>(static_cast<std::uint32_t>(token) ^ 1U << bit);
            PageKey key = hash_page({3, 4}, tokens);
            keys.emplace(key.high, key.low);
            ++count;
        }
    CHECK(keys.size() == count);
    CHECK_FALSE(hash_page({3, 4}, text({1})) == hash_page({3, 5}, text({1})));
    CHECK_FALSE(hash_page({3, 4}, text({1})) == hash_page({2, 4}, text({1})));
}

TEST_CASE("equal hashes of other tokens, other tenants or other places share nothing", "[prefix]") {
    PrefixIndex index(10, page_tokens, all_the_same);
    put(index, "acme", text({1}), {0});
    CHECK(index.find("acme", text({2})).empty());
    CHECK(index.find("zeta", text({1})).empty());
    CHECK(index.find("acme", text({1, 1})) == Pages{0});
    CHECK(index.insert("acme", PrefixIndex::no_page, text({2}), 1) == PrefixIndex::no_page);
    CHECK(index.insert("zeta", PrefixIndex::no_page, text({1}), 1) == PrefixIndex::no_page);
    CHECK(index.insert("acme", 0, text({1}), 1) == PrefixIndex::no_page);
    CHECK_FALSE(index.has(1));
    index.erase(0);
    put(index, "zeta", text({2}), {1});
    CHECK(index.find("zeta", text({2})) == Pages{1});
}

TEST_CASE("tokens that are known already keep the page that was first", "[prefix]") {
    PrefixIndex index(10, page_tokens);
    put(index, "acme", text({1}), {4});
    CHECK(index.insert("acme", PrefixIndex::no_page, text({1}), 5) == 4);
    CHECK_FALSE(index.has(5));
    CHECK(index.insert("acme", 4, text({2}), 5) == 5);
    CHECK(index.has_children(4));
    index.erase(5);
    CHECK_FALSE(index.has_children(4));
    CHECK(index.find("acme", text({1, 2})) == Pages{4});
}

TEST_CASE("pages that no one holds are emptied tail first and oldest first", "[prefix]") {
    PagePool pool(6, page_tokens);
    PageTable one;
    PageTable two;
    auto first = text({1, 2});
    auto second = text({3, 4});
    REQUIRE(pool.grow(one, 8));
    REQUIRE(pool.grow(two, 8));
    CHECK(pool.offer(one, 0, "acme", first) == 2);
    CHECK(pool.offer(two, 0, "acme", second) == 2);
    pool.give_back(one);
    pool.give_back(two);
    CHECK(pool.kept() == 4);
    CHECK(pool.free() == 6);
    CHECK(pool.used() == 0);
    REQUIRE(pool.grow(one, 8));  // the two that are empty
    CHECK(pool.kept() == 4);
    REQUIRE(pool.grow(one, 12));
    CHECK(pool.find("acme", first).pages.size() == 1);
    CHECK(pool.find("acme", second).pages.size() == 2);
    PagePool::Shared used = pool.find("acme", first);
    pool.share(two, used);  // used again: the other one is the oldest now
    pool.give_back(two);
    REQUIRE(pool.grow(one, 20));
    CHECK(pool.find("acme", first).pages.size() == 1);
    CHECK(pool.find("acme", second).pages.empty());
    CHECK_FALSE(pool.grow(one, 28));
    pool.drop_kept();
    CHECK(pool.kept() == 0);
    CHECK(pool.find("acme", first).pages.empty());
    CHECK(pool.free() == 1);
}

TEST_CASE("a page computed twice is given up for the one that was first", "[prefix]") {
    PagePool pool(6, page_tokens);
    PageTable one;
    PageTable two;
    auto tokens = text({1, 2});
    REQUIRE(pool.grow(one, 8));
    REQUIRE(pool.grow(two, 12));
    CHECK(pool.offer(one, 0, "acme", std::span(tokens).first(4)) == 1);
    CHECK(pool.offer(two, 0, "acme", tokens) == 2);
    CHECK(two[0] == one[0]);
    CHECK(pool.offer(one, 1, "acme", tokens) == 2);
    CHECK(one[1] == two[1]);
    CHECK(pool.used() == 3);
    pool.give_back(one);
    CHECK(pool.used() == 3);
    CHECK(pool.kept() == 0);
    pool.give_back(two);
    CHECK(pool.used() == 0);
    CHECK(pool.kept() == 2);
}

TEST_CASE("what a failed sequence alone held is not offered any more", "[prefix]") {
    PagePool pool(6, page_tokens);
    PageTable one;
    PageTable two;
    auto tokens = text({1, 2});
    REQUIRE(pool.grow(one, 8));
    CHECK(pool.offer(one, 0, "acme", tokens) == 2);
    pool.share(two, pool.find("acme", std::span(tokens).first(4)));
    pool.give_back_spoilt(one);
    CHECK(pool.find("acme", tokens).pages == two);
    pool.give_back(two);
    CHECK(pool.kept() == 1);
}
