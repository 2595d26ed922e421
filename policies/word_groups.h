// Groups of words that tell what a prompt asks for, as a hash table made at compile time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "policies/word_hash.h"

namespace sluice {

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

// Group of a word's hash: a perfect hash table, whose multiplier was searched for so that no two of
// the words share a cell. Most words of a text are in no group; one look without a branch tells it,
// of all but one in forty thousand words. The upper bits of a cell are eleven of the hash's.
class WordGroupTable {
public:
    static constexpr std::uint32_t none = 31;
    static_assert(word_group_count < none);

    constexpr WordGroupTable() {
        cells_.fill(none);
        std::array<std::uint32_t, cell_count> hashes{};
        for (std::uint32_t group = 0; group < word_group_count; ++group) {
            std::string_view words = word_groups[group].words;
            while (!words.empty()) {
                std::string_view word = words.substr(0, words.find(' '));
                const std::uint32_t hash = word_hash(word), at = cell_of(hash);
                complete_ = complete_ && (cells_[at] == none || hashes[at] == hash);
                if (cells_[at] == none)  // the first group that lists a word has it
                    cells_[at] = static_cast<std::uint16_t>(told(hash) | group);
                hashes[at] = hash;
                words.remove_prefix(word.size() == words.size() ? word.size() : word.size() + 1);
            }
        }
    }
    // Its group, or `none`.
    constexpr std::uint32_t find(std::uint32_t hash) const {
        return std::min<std::uint32_t>(cells_[cell_of(hash)] ^ told(hash), none);
    }
    constexpr bool complete() const { return complete_; }

private:
    static constexpr std::uint32_t cell_count = 8192;
    static constexpr std::uint32_t cell_of(std::uint32_t hash) { return hash * 0xe8ad8631U >> 19; }
    static constexpr std::uint32_t told(std::uint32_t hash) { return (hash & 0x7ff) << 5; }

    std::array<std::uint16_t, cell_count> cells_{};
    bool complete_ = true;
};

inline constexpr WordGroupTable word_group_table;
static_assert(word_group_table.complete());

}  // namespace sluice
