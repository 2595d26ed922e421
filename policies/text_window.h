// How much of a long text is read: what it begins and ends with says what it asks for. Of the rest
// how long it is counts, and how its last lines begin: the options of a question may be among them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "policies/features.h"

namespace sluice {

// Of the turn that is asked about; training reads no more of its prompts.
constexpr std::size_t last_head_bytes = 768, last_tail_bytes = 256;

// Feeds the first `head` and last `tail` bytes of a text that comes in pieces of known total.
class TextWindow {
public:
    TextWindow(FeatureReader& reader, std::size_t total, std::size_t head, std::size_t tail)
        : reader_(reader), head_end_(head), tail_from_(total) {
        if (total <= head + tail) {
            head_end_ = total;
            return;
        }
        tail_from_ = total - tail;
        reader.skip(tail_from_ - head_end_);
    }
    void feed(std::string_view piece) {
        reader_.read(part(piece, 0, head_end_));
        const std::size_t skim_from = tail_from_ - std::min(tail_from_ - head_end_, skimmed_max);
        reader_.skim(part(piece, skim_from, tail_from_));
        reader_.read(part(piece, tail_from_, seen_ + piece.size()));
        seen_ += piece.size();
    }

private:
    static constexpr std::size_t skimmed_max = 2 * 1024;

    // What of the piece lies between two places of the whole text.
    std::string_view part(std::string_view piece, std::size_t from, std::size_t to) const {
        from = std::clamp(from, seen_, seen_ + piece.size());
        to = std::clamp(to, from, seen_ + piece.size());
        return piece.substr(from - seen_, to - from);
    }

    FeatureReader& reader_;
    std::size_t head_end_, tail_from_, seen_ = 0;
};

}  // namespace sluice
