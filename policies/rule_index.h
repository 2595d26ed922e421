// Which of many rules may match a request, without looking at each: for every field that is one
// text (team, key, model, ...) and the first tags and headers that rules name, a bitset of entries
// by word. A rule has one entry, or one for each branch of its first `any`. Built once when a
// policy is read.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policies/match.h"

namespace sluice {

class RuleIndex {
public:
    void add(const RuleMatch& match);  // in the rules' order, from 0

    // The first rule, ascending, that may match by its indexed fields and of which `holds(index)`
    // is true; size() if there is none. No allocation.
    template <class Holds>
    std::size_t first(const Facts& facts, Holds holds) const {
        std::array<const Bits*, rows_max> rows;
        std::size_t used = rows_of(facts, rows);
        std::size_t tried = size_;
        for (std::size_t word = 0; word * 64 < rules_.size(); ++word) {
            std::uint64_t left = ~std::uint64_t{0};
            for (std::size_t i = 0; i < used; ++i) left &= (*rows[i])[word];
            std::size_t entries = rules_.size() - word * 64;
            if (entries < 64) left &= (std::uint64_t{1} << entries) - 1;
            for (; left != 0; left &= left - 1) {
                std::size_t rule =
                    rules_[word * 64 + static_cast<std::size_t>(__builtin_ctzll(left))];
                if (rule == tried) continue;  // by another branch
                if (holds(rule)) return rule;
                tried = rule;
            }
        }
        return size_;
    }
    std::size_t size() const { return size_; }  // rules

private:
    using Bits = std::vector<std::uint64_t>;  // a bit an entry
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };
    struct ByWord {
        Field field;
        std::string name;  // of a tag or header
        std::unordered_map<std::string, Bits, Hash, std::equal_to<>> of;
        Bits others;  // of a word that nobody names: entries that do not ask, or ask for any
        Bits absent;  // without that tag or header: entries that do not ask
        bool given_up = false;  // too many words to be worth their memory
    };
    static constexpr std::size_t rows_max = 16;
    static constexpr std::size_t words_max = 4'096;  // of one field
    using Conditions = std::vector<const Condition*>;
    void add_entry(const Conditions& all);
    void add_field(const Condition& condition);
    std::size_t rows_of(const Facts& facts, std::array<const Bits*, rows_max>& rows) const;

    std::vector<ByWord> fields_;        // that some rule asks for
    std::vector<std::uint32_t> rules_;  // of each entry, ascending
    std::size_t size_ = 0;
};

}  // namespace sluice
