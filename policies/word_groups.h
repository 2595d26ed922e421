// Groups of words that tell what a prompt asks for, as a hash table made at compile time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// The hash of words in policies/features.cc: lower-case bytes, eight at a time, little-endian, the
// last eight filled up with zeros; each step multiplies and folds the high half down.
constexpr std::uint64_t word_hash_start = 0x811c9dc5a3b195f1U;
constexpr std::uint64_t word_hash_step(std::uint64_t hash, std::uint64_t eight_bytes) {
    hash = (hash ^ eight_bytes) * 0x9e3779b97f4a7c15U;
    return hash ^ (hash >> 32);
}
constexpr std::uint32_t word_hash_end(std::uint64_t hash) {
    return static_cast<std::uint32_t>((hash * 0xbf58476d1ce4e5b9U) >> 32);
}
constexpr std::uint32_t word_hash(std::string_view word) {
    std::uint64_t hash = word_hash_start, eight = 0;
    for (std::size_t i = 0; i < word.size(); ++i) {
        eight |= std::uint64_t{static_cast<unsigned char>(word[i])} << (i % 8 * 8);
        if (i % 8 != 7 && i + 1 != word.size()) continue;
        hash = word_hash_step(hash, eight);
        eight = 0;
    }
    return word_hash_end(hash);
}

struct WordGroup {
    std::string_view name;
    std::string_view words;  // one space between
};

constexpr WordGroup word_groups[] = {
    {"prove", "prove proof proofs theorem lemma corollary conjecture rigorous rigorously qed"},
    {"compute", "find compute calculate evaluate solve determine simplify maximize minimize"},
    {"maths",
     "integer integers polynomial triangle prime matrix integral derivative equation "
     "function real sequence probability circle angle vector modulo divisor sum product "
     "rational root roots eigenvalue"},
    {"existence",
     "exists exist infinitely necessary sufficient bounded converges converge "
     "contradiction induction arbitrary nonempty isomorphic continuous"},
    {"science",
     "force mass energy velocity molar reaction voltage pressure temperature electron "
     "enzyme acid gene protein wavelength enthalpy kinetic equilibrium"},
    {"code",
     "code python java javascript typescript rust golang sql bash script class method "
     "array string loop api json regex html css function compile import def"},
    {"code_fault",
     "bug error exception stacktrace traceback crash deadlock race leak segfault "
     "undefined fails failing"},
    {"design",
     "concurrency distributed scalable complexity optimize latency throughput "
     "architecture kernel consensus transaction sharding lock consistency invariant"},
    {"write", "write draft compose story poem essay blog tweet slogan tagline headline haiku joke"},
    {"rewrite",
     "rewrite rephrase summarize summarise translate proofread correct shorten "
     "paraphrase edit polish bullet reword tone"},
    {"extract",
     "extract list classify label category categorize sentiment field fields names "
     "table format convert"},
    {"explain", "explain describe define what meaning means difference between tell"},
    {"why_how", "why how compare contrast discuss analyze analyse assess argue critique"},
    {"fact", "who when where capital president country year city born invented named wrote"},
    {"steps",
     "step steps reasoning derive justify show deduce hence therefore suppose let "
     "assume given"},
    {"each", "each every per"},
    {"number_words",
     "one two three four five six seven eight nine ten eleven twelve twenty thirty fifty "
     "hundred thousand dozen"},
    {"parts", "half third quarter quarters thirds fraction percent fifth sixth tenth"},
    {"multiples", "twice double triple thrice times"},
    {"compare",
     "more less fewer than same extra additional another older younger longer taller as"},
    {"conditions", "if then when unless"},
    {"order", "first second before after later finally"},
    {"time",
     "day days week weeks month months year years hour hours minute minutes daily weekly "
     "monthly"},
    {"trade",
     "dollars dollar cost costs price pay paid spend spends buy buys bought sell sells sold "
     "earn earns cents discount profit miles"},
    {"left", "left remaining rest remain remains away gave gives lost ate eats"},
    {"total", "total altogether combined together average all"},
    {"choice",
     "following which true false statement except correct incorrect best options "
     "answer choices none above"},
    {"legal_money",
     "contract clause liability statute court plaintiff tax bond equity interest "
     "depreciation revenue inflation demand"},
    {"short_ask", "yes no ok okay continue go sure more again done next"},
    // Politeness, left out of all that is counted; the last group.
    {"greeting", "hi hello hey thanks thank please cheers regards dear bye morning welcome"},
};
constexpr std::size_t word_group_count = std::size(word_groups);
constexpr std::size_t greeting_group = word_group_count - 1;
static_assert(word_groups[greeting_group].name == "greeting");

// Group of a word's hash, or -1.
class WordGroupTable {
public:
    constexpr WordGroupTable() {
        for (std::size_t group = 0; group < word_group_count; ++group) {
            std::string_view words = word_groups[group].words;
            while (!words.empty()) {
                std::string_view word = words.substr(0, words.find(' '));
                insert(word_hash(word), group);
                words.remove_prefix(word.size() == words.size() ? word.size() : word.size() + 1);
            }
        }
    }
    constexpr int find(std::uint32_t hash) const {
        for (std::size_t at = hash % slots; groups_[at] != 0; at = (at + 1) % slots)
            if (hashes_[at] == hash) return groups_[at] - 1;
        return -1;
    }

private:
    static constexpr std::size_t slots = 4096;  // mostly empty: most words are in no group
    constexpr void insert(std::uint32_t hash, std::size_t group) {
        std::size_t at = hash % slots;
        while (groups_[at] != 0 && hashes_[at] != hash) at = (at + 1) % slots;
        if (groups_[at] != 0) return;  // the first group that lists a word has it
        hashes_[at] = hash;
        groups_[at] = static_cast<std::uint8_t>(group + 1);
    }
    std::array<std::uint32_t, slots> hashes_{};
    std::array<std::uint8_t, slots> groups_{};
};

inline constexpr WordGroupTable word_group_table;

}  // namespace sluice
