// The numbers of policies/pii.cc: their forms and check digits. Pure, no allocation; every function
// looks at no more than the longest form's bytes. Sources: ISO 13616 (IBAN), ISO/IEC 7812 (cards),
// the issuing authorities' published rules for national ids.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// Groups of digits with single separators (space, '-', '.', '/', or a bracket) between them.
struct DigitRun {
    static constexpr std::size_t digits_max = 64;
    static constexpr std::size_t groups_max = 24;
    static constexpr std::size_t form_groups_max = 8;   // the most that one number is written in
    static constexpr std::size_t form_digits_max = 19;  // likewise
    struct Group {
        std::uint8_t from, count;  // in `digits`
        char before;               // the separator in front; 0 for the first
        std::size_t at;            // in the text
    };
    std::array<std::uint8_t, digits_max> digits;  // the first digit_count are set
    std::array<Group, groups_max> groups;         // likewise
    std::size_t digit_count = 0, group_count = 0;
    std::size_t begin = 0, end = 0;  // in the text
    std::size_t next = 0;            // where the next run may begin

    // A first group of more digits than are read is the whole run.
    std::size_t first_group_end() const { return group_count == 1 ? end : begin + groups[0].count; }
};
DigitRun read_digit_run(std::string_view text, std::size_t at);
// What may stand between two groups, once or twice.
constexpr bool is_group_separator(char c) {
    return c == ' ' || (c >= '-' && c <= '/') || c == '(' || c == ')';
}

// `to_word`: a letter follows the run at once.
bool has_card(const DigitRun& run, bool to_word);
bool has_number_id(const DigitRun& run, bool to_word);  // SSN, NIR, DE tax id, PESEL
bool has_phone(std::string_view text, const DigitRun& run);

// `at` is the first digit, a letter is before it.
bool has_iban(std::string_view text, std::size_t at);
// `letters_end`: where its two letters end, at the digits or a space before them.
bool has_nino(std::string_view text, std::size_t at, std::size_t letters_end);
bool has_nie(std::string_view text, std::size_t at);
bool has_codice_fiscale(std::string_view text, std::size_t at);
// A group of the run and the letter after it.
bool has_dni(std::string_view text, const DigitRun& run);

}  // namespace sluice
