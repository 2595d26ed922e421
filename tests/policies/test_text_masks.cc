// Where words, numbers and the rest of a chunk lie, against a plain loop.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "policies/text_masks.h"

namespace sluice {
namespace {

bool of_word(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (byte | 0x20U) - 'a' <= 'z' - 'a';
}
bool of_number(char c) { return c >= '0' && c <= '9'; }

// Where runs of bytes of a kind begin.
template <class Kind>
std::vector<std::uint16_t> runs_of(const std::string& text, Kind kind) {
    std::vector<std::uint16_t> out;
    for (std::size_t at = 0; at < text.size(); ++at)
        if (kind(text[at]) && (at == 0 || !kind(text[at - 1])))
            out.push_back(static_cast<std::uint16_t>(at));
    return out;
}

template <class Kind>
std::size_t length_of(const std::string& text, std::size_t at, Kind kind) {
    std::size_t length = 0;
    while (at + length < text.size() && kind(text[at + length])) ++length;
    return length;
}

std::vector<std::uint16_t> all(std::span<const std::uint16_t> places) {
    return {places.begin(), places.end()};
}

void check(const std::string& text, int register_bits_max) {
    const TextMasks masks(text.data(), text.size() / block_bytes, register_bits_max);
    const auto words = runs_of(text, of_word);
    REQUIRE(all(masks.words()) == words);
    const auto numbers = runs_of(text, of_number);
    REQUIRE(all(masks.numbers()) == numbers);
    std::vector<std::uint16_t> others;
    for (std::size_t at = 0; at < text.size(); ++at)
        if (!of_word(text[at]) && !of_number(text[at]) && text[at] != ' ')
            others.push_back(static_cast<std::uint16_t>(at));
    REQUIRE(all(masks.others()) == others);
    for (const std::size_t at : words) {
        const std::size_t length = length_of(text, at, of_word);
        REQUIRE(masks.word_length(at) == std::min(length, TextMasks::run_long));
        REQUIRE(masks.whole_word_length(at) == length);
        bool rich = at > 0 && text[at - 1] == '\\';
        const std::size_t looked = std::min(length, TextMasks::run_long);
        for (std::size_t i = 0; i < looked; ++i) rich |= (text[at + i] & 0x80) != 0;
        REQUIRE(masks.rich(at, looked) == rich);
    }
    for (const std::size_t at : numbers) {
        const std::size_t length = length_of(text, at, of_number);
        REQUIRE(masks.number_length(at) == std::min(length, TextMasks::run_long));
        REQUIRE(masks.whole_number_length(at) == length);
    }
    bool any_rich = false;
    for (char c : text) any_rich |= (c & 0x80) != 0 || c == '\\';
    REQUIRE(masks.rich() == any_rich);
}

}  // namespace

TEST_CASE("runs and places are those of a plain loop, in either register width", "[features]") {
    std::minstd_rand chance(5);
    const std::string drawn[] = {
        "abcXYZ  ,.7", std::string("ab \\\x80\xc3\xff"),       "a", " ", "3", ".", "a ", "1,",
        ".\n",         std::string("\x7f\x01\t`{@[/:0z9A", 13)};
    for (int round = 0; round < 3'000; ++round) {
        const std::string& of = drawn[chance() % std::size(drawn)];
        const std::size_t blocks =
            1 + chance() % (round % 50 == 0 ? TextMasks::bytes_max / block_bytes : 4);
        std::string text;
        while (text.size() < blocks * block_bytes)
            text.append(chance() % 8 == 0 ? 1 + chance() % 90 : 1, of[chance() % of.size()]);
        text.resize(blocks * block_bytes);
        check(text, 128);
        check(text, 256);
    }
    for (const char* pair : {"a ", "1,", ",,", "a1", "\n.", "aa"}) {  // as many as there can be
        std::string full;
        while (full.size() < TextMasks::bytes_max) full += pair;
        check(full, 128);
        check(full, 256);
    }
}

}  // namespace sluice
