#include "policies/rule_union.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "policies/rule_cover.h"

namespace sluice {
namespace {

constexpr int depth_max = 8;
constexpr std::size_t trimmed_max = 64;  // rules of which those that are not needed are left out

bool same_thing(const Condition& a, const Condition& b) {
    return a.field == b.field && a.name == b.name;
}

bool present(const Condition& one) { return !one.words.empty() && one.words.front() == "*"; }

bool has(const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

// Spans that pass midnight are not compared.
bool times_apart(const Condition& a, const Condition& b) {
    bool plain = a.from_minute < a.to_minute && b.from_minute < b.to_minute;
    if (!plain || a.offset_minutes != b.offset_minutes) return false;
    return (a.days & b.days) == 0 || a.to_minute <= b.from_minute || b.to_minute <= a.from_minute;
}

// No request has both. Every field has one value, and so has a tag or a header of one name.
bool apart(const Condition& a, const Condition& b, std::int64_t& left) {
    if (!same_thing(a, b)) return false;
    left -= 1 + std::ssize(a.words) * std::ssize(b.words);
    if (left < 0) return false;
    switch (sort_of(a.field)) {
        case Sort::word:
        case Sort::named:
            return !present(a) && !present(b) &&
                   std::none_of(a.words.begin(), a.words.end(),
                                [&](const std::string& word) { return has(b.words, word); });
        case Sort::pii:
            if (a.wanted == b.wanted) return false;
            return a.wanted ? (a.pii & ~b.pii) == 0 : (b.pii & ~a.pii) == 0;
        case Sort::flag:
            return a.wanted != b.wanted;
        case Sort::number:
            return a.min >= b.below || b.min >= a.below;
        case Sort::time:
            return times_apart(a, b);
        case Sort::any:
        case Sort::none:
            break;
    }
    return false;
}

// The match with one branch in the place of one of its conditions, an `any`.
RuleMatch with_branch(const RuleMatch& match, const Condition& of, const RuleMatch& branch,
                      std::int64_t& left) {
    RuleMatch out;
    for (const Condition& one : match.all)
        if (&one != &of) out.all.push_back(one);
    out.all.insert(out.all.end(), branch.all.begin(), branch.all.end());
    for (const Condition& one : out.all) left -= 1 + std::ssize(one.words) + std::ssize(one.parts);
    return out;
}

bool contradicts(const RuleMatch& match, int depth, std::int64_t& left) {
    for (auto a = match.all.begin(); a != match.all.end(); ++a) {
        for (auto b = std::next(a); b != match.all.end(); ++b)
            if (apart(*a, *b, left)) return true;
        if (left < 0) return false;
        if (a->field == Field::none &&
            std::any_of(a->parts.begin(), a->parts.end(), [&](const RuleMatch& barred) {
                return covers(barred, match, left) && left >= 0;
            }))
            return true;
        if (a->field == Field::any && depth < depth_max && !a->parts.empty() &&
            std::all_of(a->parts.begin(), a->parts.end(), [&](const RuleMatch& branch) {
                return left >= 0 &&
                       contradicts(with_branch(match, *a, branch, left), depth + 1, left);
            }))
            return true;
    }
    return false;
}

// One thing that an earlier rule asks beyond what the later one does; or its opposite.
struct Piece {
    const Condition* asked;
    bool opposite;
    std::size_t rule;
};
using Pieces = std::vector<Piece>;

class Together {
public:
    Together(const RuleMatch& later, std::int64_t& left) : later_(later), left_(left) {}

    void add(std::size_t rule, const RuleMatch& match, int depth = 0) {
        const Condition* open = beyond(match);
        if (open == nullptr || left_ < 0) return;
        if (open->field == Field::any && depth < depth_max) {
            for (const RuleMatch& branch : open->parts) add(rule, branch, depth + 1);
        } else if (open->field == Field::none && open->parts.size() == 1) {
            const Condition* barred = beyond(open->parts.front());
            if (barred != nullptr && barred->field != Field::none && barred->field != Field::any)
                pieces_.push_back({barred, true, rule});
        } else if (open->field != Field::none && open->field != Field::any) {
            pieces_.push_back({open, false, rule});
        }
    }

    std::vector<std::size_t> rules() {
        auto order = [](const Piece& a, const Piece& b) {
            return std::tie(a.asked->field, a.asked->name) <
                   std::tie(b.asked->field, b.asked->name);
        };
        std::stable_sort(pieces_.begin(), pieces_.end(), order);
        for (auto from = pieces_.begin(); from != pieces_.end();) {
            auto to = std::upper_bound(from, pieces_.end(), *from, order);
            Pieces group(from, to);
            if (all_of_it(group)) return trimmed(std::move(group));
            from = to;
        }
        return {};
    }

private:
    // The only condition that the later rule does not state; nullptr: there is none, or several.
    const Condition* beyond(const RuleMatch& match) {
        const Condition* open = nullptr;
        for (const Condition& one : match.all) {
            if (follows(later_, one, left_)) continue;
            if (open != nullptr || left_ < 0) return nullptr;
            open = &one;
        }
        return open;
    }

    bool all_of_it(const Pieces& pieces) {
        if (pieces.empty() || left_ < 0) return false;
        switch (sort_of(pieces.front().asked->field)) {
            case Sort::word:
            case Sort::named:
                return all_words(pieces);
            case Sort::pii:
                return all_pii(pieces);
            case Sort::flag:
                return std::any_of(
                           pieces.begin(), pieces.end(),
                           [](const Piece& one) { return one.asked->wanted != one.opposite; }) &&
                       std::any_of(pieces.begin(), pieces.end(), [](const Piece& one) {
                           return one.asked->wanted == one.opposite;
                       });
            case Sort::number:
                return all_numbers(pieces);
            case Sort::time:
            case Sort::any:
            case Sort::none:
                break;
        }
        return false;
    }

    bool all_words(const Pieces& pieces) {
        std::set<std::string_view> taken;
        bool any_word = false;  // all that have the tag or the header
        for (const Piece& one : pieces) {
            left_ -= 1 + std::ssize(one.asked->words);
            if (one.opposite) continue;
            any_word = any_word || present(*one.asked);
            taken.insert(one.asked->words.begin(), one.asked->words.end());
        }
        auto is_taken = [&](const std::string& word) { return any_word || taken.contains(word); };
        for (const Piece& one : pieces)
            if (one.opposite &&
                (present(*one.asked)
                     ? any_word
                     : std::all_of(one.asked->words.begin(), one.asked->words.end(), is_taken)))
                return true;
        auto left_over = [&](const std::string& word) {
            return is_taken(word) || std::any_of(pieces.begin(), pieces.end(), [&](const Piece& p) {
                       left_ -= std::ssize(p.asked->words);
                       return p.opposite && !present(*p.asked) && !has(p.asked->words, word);
                   });
        };
        return std::any_of(later_.all.begin(), later_.all.end(), [&](const Condition& own) {
            return same_thing(own, *pieces.front().asked) && !present(own) &&
                   std::all_of(own.words.begin(), own.words.end(), left_over);
        });
    }

    bool all_pii(const Pieces& pieces) const {
        PiiSet found = 0;  // one of these is there
        for (const Piece& one : pieces)
            if (one.asked->wanted != one.opposite) found |= one.asked->pii;
        bool opposite = std::any_of(pieces.begin(), pieces.end(), [&](const Piece& one) {
            return one.asked->wanted == one.opposite && (one.asked->pii & ~found) == 0;
        });
        return opposite ||
               std::any_of(later_.all.begin(), later_.all.end(), [&](const Condition& own) {
                   return own.field == Field::pii && own.wanted && (own.pii & ~found) == 0;
               });
    }

    bool all_numbers(const Pieces& pieces) const {
        std::vector<std::pair<double, double>> spans;
        constexpr double most = std::numeric_limits<double>::infinity();
        for (const Piece& one : pieces) {
            if (!one.opposite) {
                spans.emplace_back(one.asked->min, one.asked->below);
            } else {
                if (one.asked->min > -most) spans.emplace_back(-most, one.asked->min);
                if (one.asked->below < most) spans.emplace_back(one.asked->below, most);
            }
        }
        std::sort(spans.begin(), spans.end());
        double reached = 0, end = most;  // none of them is ever negative
        for (const Condition& own : later_.all)
            if (own.field == pieces.front().asked->field) {
                reached = std::max(reached, own.min);
                end = std::min(end, own.below);
            }
        for (auto [from, below] : spans)
            if (from <= reached) reached = std::max(reached, below);
        return reached >= end;
    }

    // Without those that the others do not need.
    std::vector<std::size_t> trimmed(Pieces group) {
        std::set<std::size_t> rules;
        for (const Piece& one : group) rules.insert(one.rule);
        if (rules.size() <= trimmed_max)
            for (std::size_t rule : std::vector<std::size_t>(rules.rbegin(), rules.rend())) {
                Pieces fewer;
                std::copy_if(group.begin(), group.end(), std::back_inserter(fewer),
                             [rule](const Piece& one) { return one.rule != rule; });
                if (!all_of_it(fewer)) continue;
                group = std::move(fewer);
                rules.erase(rule);
            }
        return {rules.begin(), rules.end()};
    }

    const RuleMatch& later_;
    std::int64_t& left_;
    Pieces pieces_;
};

std::vector<std::size_t> several(const std::vector<const RuleMatch*>& earlier,
                                 const RuleMatch& later, std::int64_t& left) {
    Together together(later, left);
    for (std::size_t i = 0; i < earlier.size() && left >= 0; ++i) together.add(i, *earlier[i]);
    if (left < 0) return {};
    return together.rules();
}

// One of them alone, or several.
std::vector<std::size_t> one_or_several(const std::vector<const RuleMatch*>& earlier,
                                        const RuleMatch& later, std::int64_t& left) {
    for (std::size_t i = 0; i < earlier.size() && left >= 0; ++i)
        if (covers(*earlier[i], later, left)) return {i};
    return several(earlier, later, left);
}

}  // namespace

bool contradicts_itself(const RuleMatch& match, std::int64_t& steps_left) {
    return contradicts(match, 0, steps_left);
}

std::vector<std::size_t> covered_together(const std::vector<const RuleMatch*>& earlier,
                                          const RuleMatch& later, std::int64_t& steps_left) {
    std::vector<std::size_t> found = several(earlier, later, steps_left);
    if (!found.empty()) return found;
    auto branches = std::find_if(later.all.begin(), later.all.end(),
                                 [](const Condition& one) { return one.field == Field::any; });
    if (branches == later.all.end()) return {};
    std::set<std::size_t> rules;
    for (const RuleMatch& branch : branches->parts) {
        RuleMatch one = with_branch(later, *branches, branch, steps_left);
        std::vector<std::size_t> of_branch = one_or_several(earlier, one, steps_left);
        if (of_branch.empty() || steps_left < 0) return {};
        rules.insert(of_branch.begin(), of_branch.end());
    }
    return {rules.begin(), rules.end()};
}

}  // namespace sluice
