// Which buckets a text has: of each the number of the last text that had it. Clearing the marks of
// each text would cost more than a short text's words, so numbers go up, and all is cleared when a
// byte holds no more of them. One for each thread.
#pragma once

#include <array>
#include <cstdint>

#include "policies/features.h"

namespace sluice {

struct Met {
    std::array<std::uint8_t, bucket_count> text;
    std::uint8_t last;  // text's number; 0 before the first

    // Greater than all that are marked.
    std::uint8_t next_text() {
        if (++last == 0) {
            text.fill(0);
            last = 1;
        }
        return last;
    }
};

}  // namespace sluice
