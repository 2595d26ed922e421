#include "policies/rule_index.h"

#include <algorithm>

namespace sluice {
namespace {

void set(std::vector<std::uint64_t>& bits, std::size_t at) {
    bits[at / 64] |= std::uint64_t{1} << (at % 64);
}

bool has_words(const Condition& condition) {
    return static_cast<std::size_t>(condition.field) < indexed_fields ||
           condition.field == Field::tag || condition.field == Field::header;
}

bool same(const Condition& condition, Field field, const std::string& name) {
    return condition.field == field && condition.name == name;
}

}  // namespace

// Begins to index a field from here on, unless there are too many.
void RuleIndex::add_field(const Condition& condition) {
    for (const ByWord& one : fields_)
        if (same(condition, one.field, one.name)) return;
    if (fields_.size() == rows_max) return;
    ByWord& fresh = fields_.emplace_back();
    fresh.field = condition.field;
    fresh.name = condition.name;
    fresh.others.assign(rules_.size() / 64 + 1, ~std::uint64_t{0});  // nobody so far asks for it
    fresh.absent = fresh.others;
}

void RuleIndex::add_entry(const Conditions& all) {
    for (const Condition* one : all)
        if (has_words(*one)) add_field(*one);
    std::size_t entry = rules_.size();
    rules_.push_back(static_cast<std::uint32_t>(size_));
    for (ByWord& words : fields_) {
        if (words.given_up) continue;
        auto reach = [&](Bits& bits) {  // bits of entries to come are set only by their own turn
            bits.resize(entry / 64 + 1);
            bits[entry / 64] &= ~(std::uint64_t{1} << (entry % 64));
        };
        reach(words.others);
        reach(words.absent);
        for (auto& [word, bits] : words.of) reach(bits);
        auto asked = std::find_if(all.begin(), all.end(), [&](const Condition* one) {
            return same(*one, words.field, words.name);  // others of the field are looked at later
        });
        bool named = words.field == Field::tag || words.field == Field::header;
        bool any = asked != all.end() && named && (*asked)->words.front() == "*";
        if (asked == all.end()) set(words.absent, entry);
        if (asked == all.end() || any) {
            set(words.others, entry);
            for (auto& [word, bits] : words.of) set(bits, entry);
            continue;
        }
        for (const std::string& word : (*asked)->words)
            set(words.of.try_emplace(word, words.others).first->second, entry);
        if (words.of.size() > words_max) {
            words.given_up = true;
            words.of.clear();
        }
    }
}

void RuleIndex::add(const RuleMatch& match) {
    constexpr std::size_t branches_max = 8;
    Conditions all;
    const Condition* any = nullptr;
    for (const Condition& one : match.all) {
        all.push_back(&one);
        bool few = one.field == Field::any && one.parts.size() <= branches_max;
        if (any == nullptr && few) any = &one;
    }
    if (any == nullptr) {
        add_entry(all);
    } else {
        for (const RuleMatch& branch : any->parts) {
            Conditions with = all;
            for (const Condition& one : branch.all) with.push_back(&one);
            add_entry(with);
        }
    }
    ++size_;
}

std::size_t RuleIndex::rows_of(const Facts& facts, std::array<const Bits*, rows_max>& rows) const {
    std::size_t used = 0;
    for (const ByWord& words : fields_) {
        if (words.given_up) continue;
        std::optional<std::string_view> word;
        if (static_cast<std::size_t>(words.field) < indexed_fields)
            word = facts.text(words.field);
        else
            word = facts.named(words.field, words.name);
        if (!word) {
            rows[used++] = &words.absent;
            continue;
        }
        auto found = words.of.find(*word);
        rows[used++] = found == words.of.end() ? &words.others : &found->second;
    }
    return used;
}

}  // namespace sluice
