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
static_assert(last_head_bytes + last_tail_bytes <= FeatureReader::part_max);

// Feeds the first `head` and last `tail` bytes of texts of known total, FeatureReader::part_max
// together at most.
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
    void feed(std::string_view text) {
        auto place = [&](std::size_t of_all) {
            return std::clamp(of_all, seen_, seen_ + text.size()) - seen_;
        };
        const std::size_t head_end = place(head_end_), tail_from = place(tail_from_);
        const std::size_t skimmed = std::min(tail_from_ - head_end_, skimmed_max);
        reader_.read(text, 0, head_end);
        reader_.skim(text, place(tail_from_ - skimmed), tail_from);
        reader_.read(text, tail_from, text.size());
        seen_ += text.size();
    }

private:
    static constexpr std::size_t skimmed_max = 2 * 1024;

    FeatureReader& reader_;
    std::size_t head_end_, tail_from_, seen_ = 0;
};

}  // namespace sluice
