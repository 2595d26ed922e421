// Texts as who reads them sees them: what hides a sign from a look at the bytes is taken off.
// Pure; bounded by the text's length.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Writes the text with one layer of escapes taken off: of JSON and most languages (\u0040, \x40,
// \n, \/), of addresses (%40), of HTML (&#64; &#x40; &commat;); signs that stand for others of
// ASCII are those (wide forms as ＠ and ４, Arabic, Persian and Hindi digits, the many kinds of
// spaces and dashes), and signs without width are left out. False, with `out` empty and nothing
// allocated, where the text has nothing of it.
bool without_escapes(std::string_view text, std::string& out);

// Whether all of it is base64 (either alphabet), as it stands in JSON: with \/ and line ends.
bool is_base64(std::string_view json);

// Writes what the base64 holds, where its first bytes are those of a text in UTF-8 and not of a
// PDF; otherwise `out` is empty. Anything that is no base64 is passed over.
void read_base64_text(std::string_view json, std::string& out);

}  // namespace sluice
