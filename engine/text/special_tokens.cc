#include "engine/text/special_tokens.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace sluice {
namespace {

using Piece = SpecialTokens::Piece;
using Special = SpecialTokens::Special;

// Appends `piece`, plain text, with every place where it holds `special` cut out.
void cut(std::string_view text, Piece piece, const Special& special, std::vector<Piece>& out) {
    std::size_t at = piece.begin;
    std::string_view within = text.substr(0, piece.end);
    for (std::size_t found = within.find(special.text, at); found != std::string_view::npos;
         found = within.find(special.text, at)) {
        if (found > at) out.push_back({at, found, -1});
        at = found + special.text.size();
        out.push_back({found, at, special.token});
    }
    if (at < piece.end) out.push_back({at, piece.end, -1});
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Special> specials)
    : specials_(std::move(specials)), by_choice_(specials_.size()) {
    std::sort(specials_.begin(), specials_.end(),
              [](const Special& a, const Special& b) { return a.text < b.text; });
    std::iota(by_choice_.begin(), by_choice_.end(), std::size_t{0});
    std::sort(by_choice_.begin(), by_choice_.end(), [this](std::size_t a, std::size_t b) {
        return std::tuple(specials_[b].text.size(), specials_[a].token) <
               std::tuple(specials_[a].text.size(), specials_[b].token);
    });
    for (std::size_t i = 0; i < specials_.size(); ++i) {
        Range& range = by_first_byte_[static_cast<unsigned char>(specials_[i].text[0])];
        if (range.end == 0) range.begin = i;
        range.end = i + 1;
    }
}

std::vector<Piece> SpecialTokens::split(std::string_view text) const {
    std::vector<Piece> pieces;
    if (!text.empty()) pieces.push_back({0, text.size(), -1});
    if (specials_.empty() || text.empty()) return pieces;
    // Most texts hold few of the special tokens, of which there may be hundreds: one pass tells
    // which, and only those are searched for.
    std::vector<bool> present = present_in(text);
    for (std::size_t index : by_choice_) {
        if (!present[index]) continue;
        std::vector<Piece> finer;
        finer.reserve(pieces.size() + 2);
        for (const Piece& piece : pieces) {
            if (piece.token >= 0) {
                finer.push_back(piece);
            } else {
                cut(text, piece, specials_[index], finer);
            }
        }
        pieces = std::move(finer);
    }
    return pieces;
}

std::vector<bool> SpecialTokens::present_in(std::string_view text) const {
    std::vector<bool> present(specials_.size());
    for (std::size_t at = 0; at < text.size(); ++at)
        if (by_first_byte_[static_cast<unsigned char>(text[at])].end != 0)
            mark_at(text, at, present);
    return present;
}

// Narrows the sorted texts to those that agree with the text at `at`, a byte at a time.
void SpecialTokens::mark_at(std::string_view text, std::size_t at,
                            std::vector<bool>& present) const {
    Range range = by_first_byte_[static_cast<unsigned char>(text[at])];
    for (std::size_t depth = 1; range.begin < range.end; ++depth) {
        // A text that ends here sorts before those that go on.
        if (specials_[range.begin].text.size() == depth) present[range.begin++] = true;
        if (at + depth >= text.size()) return;
        auto byte = static_cast<unsigned char>(text[at + depth]);
        auto byte_of = [&](const Special& special) {
            return static_cast<unsigned char>(special.text[depth]);
        };
        auto first = specials_.begin() + static_cast<std::ptrdiff_t>(range.begin);
        auto last = specials_.begin() + static_cast<std::ptrdiff_t>(range.end);
        first =
            std::partition_point(first, last, [&](const Special& s) { return byte_of(s) < byte; });
        last =
            std::partition_point(first, last, [&](const Special& s) { return byte_of(s) == byte; });
        range = {static_cast<std::size_t>(first - specials_.begin()),
                 static_cast<std::size_t>(last - specials_.begin())};
    }
}

}  // namespace sluice
