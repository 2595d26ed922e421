// Streaming detokenizer: token bytes in, whole UTF-8 characters out. One per sequence.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

class Detokenizer {
public:
    // Adds a token's bytes and returns the characters complete by now, appended to nothing: bytes
    // of an unfinished character are held. A byte that can never be part of a valid sequence
    // comes out as U+FFFD at once (maximal-subpart rule of Unicode 3.9).
    std::string push(std::string_view bytes);
    // At the end: what is still held, as U+FFFD, or "".
    std::string finish();

private:
    std::string held_;
};

}  // namespace sluice
