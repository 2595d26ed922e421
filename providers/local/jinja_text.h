// Text that remembers where its bytes come from, so that a conversation cannot spell the control
// tokens of a chat template. Bytes are trusted when the template's author or the model's file
// wrote them, and untrusted when a caller did; every operation keeps the distinction byte by byte.
// Plain values, UTF-8 (broken sequences are kept and counted byte by byte).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

class Text {
public:
    struct Run {  // bytes up to `end`, from the run before it
        std::size_t end = 0;
        bool trusted = false;
        friend bool operator==(const Run&, const Run&) = default;
    };

    Text() = default;
    Text(std::string bytes, bool trusted);

    const std::string& bytes() const { return bytes_; }
    const std::vector<Run>& runs() const { return runs_; }
    std::size_t size() const { return bytes_.size(); }
    bool empty() const { return bytes_.empty(); }

    void append(std::string_view bytes, bool trusted);
    void append(const Text& other);
    // `size` bytes from `from`, cut at the end.
    Text slice(std::size_t from, std::size_t size) const;
    // The same runs over other bytes of the same size.
    Text with_bytes(std::string bytes) const;

private:
    void extend(std::size_t size, bool trusted);

    std::string bytes_;
    std::vector<Run> runs_;
};

// Characters: code points, as Python's str counts them.
std::size_t char_count(std::string_view bytes);
// The byte at which character `index` starts, or bytes.size().
std::size_t char_offset(std::string_view bytes, std::size_t index);
// The code point at `at` (which then points past it); a broken byte gives 0xFFFD and one byte.
char32_t next_char(std::string_view bytes, std::size_t& at);
void append_char(std::string& out, char32_t c);
// What Python's str.strip() takes for white space.
bool is_space(char32_t c);

// The bytes [first, second) left after taking from the ends what `chars` names, or white space when
// it is empty.
struct Span {
    std::size_t from = 0;
    std::size_t to = 0;
};
Span stripped(std::string_view bytes, std::string_view chars, bool left, bool right);

}  // namespace sluice::jinja
