// Unicode's normalization form C, which some tokenizers bring text to before they cut it:
// characters that can be written in several ways are written in one. Source: Unicode Standard
// Annex 15. Bytes that are no part of valid UTF-8 stay as they are. Pure: any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Whether the text is in form C, told by its characters one by one: true is certain; false means
// that composed() has to look. Nearly all text there is gives true, at the speed of reading it.
bool is_surely_composed(std::string_view text);

// The text in form C.
std::string composed(std::string_view text);

}  // namespace sluice
