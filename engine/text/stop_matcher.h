// Finds stop strings in streamed text and keeps them, and every part that might become one, from
// going out. One per sequence, one thread. The answer does not depend on how the text is cut into
// pushes: the stop string that is complete first ends the text, the longest if two end together.
// Text comes in whole characters and stop strings are UTF-8, so what goes out is whole characters.
// Knuth, Morris and Pratt 1977, once a stop string: time is linear in the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class StopMatcher {
public:
    explicit StopMatcher(const std::vector<std::string>& stops);  // none of them empty

    // The text that may go out by now. After a stop string it is what stood before it; later
    // pushes give nothing.
    std::string push(std::string_view text);
    // At the end: what was held back in case it became a stop string.
    std::string finish();
    bool stopped() const { return !found_.empty(); }
    const std::string& found() const { return found_; }  // the stop string, "" while there is none

private:
    struct Pattern {
        std::string text;
        std::vector<std::size_t> border;  // longest proper prefix of text[0..i] that is its suffix
        std::size_t matched = 0;          // bytes of `text` that the input ends with
        void feed(char byte);
    };
    std::vector<Pattern> patterns_;
    std::string held_;  // as long as the largest `matched`
    std::string found_;
};

}  // namespace sluice
