#include "gateway/visible_ascii.h"

#include <catch2/catch.hpp>
#include <string>

using namespace sluice;

TEST_CASE("a byte that is not visible is seen wherever it stands in a text", "[http]") {
    for (std::size_t size = 0; size <= 40; ++size) {
        std::string text(size, '~');
        CHECK(is_visible_ascii(text));
        for (std::size_t at = 0; at < size; ++at)
            for (int byte = 0; byte < 256; ++byte) {
                text[at] = static_cast<char>(byte);
                bool visible = byte >= 0x20 && byte <= 0x7E;
                if (is_visible_ascii(text) != visible) FAIL(size << " " << at << " " << byte);
                text[at] = at % 2 == 0 ? ' ' : '~';
            }
    }
}
