#include <catch2/catch.hpp>
#include <map>

#include "engine/text/bpe.h"

using namespace sluice;
using Ids = std::vector<TokenId>;

namespace {

// Tokens 0 to 255 are the bytes; further ones are merges drawn at random from the tokens so far.
std::vector<Bpe::Merge> random_merges(int letters, int count, std::uint64_t& state) {
    std::vector<TokenId> known;
    for (int i = 0; i < letters; ++i) known.push_back('a' + i);
    std::map<std::pair<TokenId, TokenId>, bool> seen;
    std::vector<Bpe::Merge> merges;
    for (TokenId next = 256; static_cast<int>(merges.size()) < count;) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        TokenId left = known[(state >> 33) % known.size()];
        state = state * 6364136223846793005u + 1442695040888963407u;
        TokenId right = known[(state >> 33) % known.size()];
        if (seen[{left, right}]) continue;
        seen[{left, right}] = true;
        merges.push_back({left, right, next});
        known.push_back(next++);
    }
    return merges;
}

std::array<TokenId, 256> byte_tokens() {
    std::array<TokenId, 256> tokens;
    for (int i = 0; i < 256; ++i) tokens[static_cast<std::size_t>(i)] = i;
    return tokens;
}

// The definition, word for word.
Ids merged_by_definition(const std::string& word, const std::vector<Bpe::Merge>& merges) {
    Ids ids;
    for (char c : word) ids.push_back(static_cast<unsigned char>(c));
    std::map<std::pair<TokenId, TokenId>, std::size_t> ranks;
    for (std::size_t i = 0; i < merges.size(); ++i)
        ranks.emplace(std::pair{merges[i].left, merges[i].right}, i);
    for (;;) {
        std::size_t best = merges.size();
        std::size_t place = 0;
        for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
            auto found = ranks.find({ids[i], ids[i + 1]});
            if (found == ranks.end() || found->second >= best) continue;
            best = found->second;
            place = i;
        }
        if (best == merges.size()) return ids;
        ids[place] = merges[best].merged;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
}

Ids encode(const Bpe& bpe, std::string_view word) {
    Bpe::Scratch scratch;
    Ids out;
    bpe.encode(word, scratch, out);
    return out;
}

}  // namespace

TEST_CASE("words of every length merge as the definition says", "[bpe]") {
    std::uint64_t state = 11;
    for (int letters : {1, 2, 3, 8}) {
        std::vector<Bpe::Merge> merges = random_merges(letters, letters * 12, state);
        Bpe bpe(byte_tokens(), merges.size());
        bpe.add(merges);
        for (std::size_t length = 0; length < 130; ++length) {
            std::string word(length, 'a');
            for (char& c : word) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                c = static_cast<char>('a' + (state >> 33) % static_cast<unsigned>(letters));
            }
            INFO(word);
            REQUIRE(encode(bpe, word) == merged_by_definition(word, merges));
        }
    }
}

TEST_CASE("of equal ranks the leftmost pair merges first", "[bpe]") {
    Bpe bpe(byte_tokens(), 1);
    bpe.add(std::vector<Bpe::Merge>{{'a', 'a', 256}});
    CHECK(encode(bpe, "aaa") == Ids{256, 'a'});
    Ids many = encode(bpe, std::string(101, 'a'));
    CHECK(many.size() == 51);
    CHECK(many.back() == 'a');
}

TEST_CASE("a merge that is listed twice keeps its first rank", "[bpe]") {
    Bpe bpe(byte_tokens(), 3);
    bpe.add(std::vector<Bpe::Merge>{{'a', 'b', 256}, {'b', 'c', 257}, {'a', 'b', 258}});
    CHECK(encode(bpe, "abc") == Ids{256, 'c'});
}

TEST_CASE("a word of a million bytes is merged in about linear time", "[bpe]") {
    Bpe bpe(byte_tokens(), 20);
    std::vector<Bpe::Merge> doubling;
    for (TokenId i = 0; i < 19; ++i) {
        TokenId from = i == 0 ? 'a' : 255 + i;
        doubling.push_back({from, from, 256 + i});
    }
    bpe.add(doubling);
    // Taking the lowest rank by a search each time would be 10^12 steps.
    Ids ids = encode(bpe, std::string(1 << 20, 'a'));
    CHECK(ids == Ids{274, 274});
}
