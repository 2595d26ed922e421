#include "policies/pii_numbers.h"

#include <algorithm>

namespace sluice {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
bool is_alnum(char c) { return is_digit(c) || is_letter(c); }
char upper(char c) { return is_letter(c) ? static_cast<char>(c & ~32) : c; }
// Whether a form may begin at, or end before, this byte: no letter or digit beside it.
bool edge(std::string_view text, std::size_t at) {
    return at >= text.size() || !(is_alnum(text[at]) || text[at] == '_');
}
bool edge_before(std::string_view text, std::size_t at) { return at == 0 || edge(text, at - 1); }

using Digits = const std::uint8_t*;

bool luhn(Digits digits, std::size_t count) {
    int sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        int digit = digits[count - 1 - i];
        if (i % 2 == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return sum % 10 == 0;
}

// ISO/IEC 7812 ranges of the large schemes, with their lengths.
bool issued(Digits d, std::size_t count) {
    int two = d[0] * 10 + d[1], four = two * 100 + d[2] * 10 + d[3];
    if (d[0] == 4) return count == 13 || count == 16 || count == 19;
    if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return count == 16;
    if (two == 34 || two == 37) return count == 15;
    if (two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059))
        return count >= 14 && count <= 19;
    if (four >= 3528 && four <= 3589) return count >= 16;
    if (two == 60 || two == 64 || two == 65 || two == 62) return count >= 16;
    return (two == 50 || (two >= 56 && two <= 69)) && count >= 13;
}

bool card(Digits digits, std::size_t count) {
    if (count < 13 || count > 19 || !issued(digits, count)) return false;
    return luhn(digits, count);
}

std::int64_t value_of(Digits digits, std::size_t count) {
    std::int64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value * 10 + digits[i];
    return value;
}

bool day_and_month(std::int64_t day, std::int64_t month) {
    return day >= 1 && day <= 31 && month >= 1 && month <= 12;
}

// Poland: year, month (with its century), day, serial; weights 1 3 7 9.
bool pesel(Digits d) {
    constexpr int weights[] = {1, 3, 7, 9, 1, 3, 7, 9, 1, 3};
    int sum = 0;
    for (int i = 0; i < 10; ++i) sum += weights[i] * d[i];
    return (10 - sum % 10) % 10 == d[10] &&
           day_and_month(d[4] * 10 + d[5], (d[2] * 10 + d[3]) % 20);
}

// Germany's tax id: ISO 7064 mod 11,10; one digit of the first ten twice or three times.
bool german_tax_id(Digits d) {
    if (d[0] == 0) return false;
    std::array<int, 10> seen{};
    int product = 10;
    for (int i = 0; i < 10; ++i) {
        ++seen[d[i]];
        int sum = (d[i] + product) % 10;
        product = (sum == 0 ? 10 : sum) * 2 % 11;
    }
    auto repeated = std::count_if(seen.begin(), seen.end(), [](int n) { return n > 1; });
    if (repeated != 1 || *std::max_element(seen.begin(), seen.end()) > 3) return false;
    int check = 11 - product;
    return (check == 10 ? 0 : check) == d[10];
}

// France: sex, year, month, department, commune, serial, then 97 - (13 digits mod 97).
bool french_nir(Digits d) {
    std::int64_t month = d[3] * 10 + d[4];
    if (d[0] != 1 && d[0] != 2) return false;
    if (month < 1 || (month > 12 && month < 20)) return false;
    return 97 - value_of(d, 13) % 97 == d[13] * 10 + d[14];
}

bool ssn(const DigitRun& run, std::size_t g) {
    if (g + 2 >= run.group_count) return false;
    const DigitRun::Group* group = &run.groups[g];
    if (group[0].count != 3 || group[1].count != 2 || group[2].count != 4) return false;
    if (group[1].before != group[2].before || (group[1].before != '-' && group[1].before != ' '))
        return false;
    Digits d = &run.digits[group->from];
    std::int64_t area = value_of(d, 3);
    return area != 0 && area != 666 && area < 900 && value_of(d + 3, 2) != 0 &&
           value_of(d + 5, 4) != 0;
}

// Calls `check(digits, count)` for every window of whole groups of `low` to `high` digits.
template <class Check>
bool any_window(const DigitRun& run, bool to_word, std::size_t low, std::size_t high, Check check) {
    for (std::size_t first = 0; first < run.group_count; ++first) {
        std::size_t count = 0;
        std::size_t end = std::min(run.group_count, first + DigitRun::form_groups_max);
        for (std::size_t last = first; last < end; ++last) {
            count += run.groups[last].count;
            if (count > high) break;
            bool whole = !(to_word && last + 1 == run.group_count);
            if (count >= low && whole && check(&run.digits[run.groups[first].from], count))
                return true;
        }
    }
    return false;
}

struct IbanLength {
    char country[3];
    std::uint8_t length;
};
// ISO 13616 registry.
constexpr IbanLength iban_lengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
    {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27},
    {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28},
    {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}};

std::size_t iban_length(char first, char second) {
    for (const IbanLength& one : iban_lengths)
        if (one.country[0] == first && one.country[1] == second) return one.length;
    return 0;
}

// Whether the byte is in a UUID: groups of 8, 4, 4, 4 and 12 hexadecimal digits.
bool in_uuid(std::string_view text, std::size_t at) {
    constexpr std::size_t length = 36;
    auto of_uuid = [](char c) {
        return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f') || c == '-';
    };
    std::size_t from = at, end = at;
    while (from > 0 && at - from < length && of_uuid(text[from - 1])) --from;
    while (end < text.size() && end - from <= length && of_uuid(text[end])) ++end;
    if (end - from != length) return false;
    for (std::size_t i = 0; i < length; ++i)
        if ((text[from + i] == '-') != (i == 8 || i == 13 || i == 18 || i == 23)) return false;
    return true;
}

// Spain: the letter of the number's remainder by 23.
bool dni_letter(std::int64_t number, char letter) {
    return std::string_view("TRWAGMYFPDXBNJZSQVHLCKE")[static_cast<std::size_t>(number % 23)] ==
           upper(letter);
}

// `count` digits from `at`; -1 where there are others.
std::int64_t digits_value(std::string_view text, std::size_t at, std::size_t count) {
    if (at + count > text.size()) return -1;
    std::int64_t value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (!is_digit(text[i])) return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

// Value of a character in an odd place of a codice fiscale, from the ministry's table.
int odd_value(char c) {
    constexpr int values[] = {1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                              20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    return values[is_digit(c) ? c - '0' : c - 'A'];
}

}  // namespace

DigitRun read_digit_run(std::string_view text, std::size_t at) {
    DigitRun run;
    run.begin = at;
    char before = 0;
    std::size_t i = at;
    while (run.group_count < DigitRun::groups_max) {
        DigitRun::Group& group = run.groups[run.group_count];
        group = {static_cast<std::uint8_t>(run.digit_count), 0, before, i};
        while (i < text.size() && is_digit(text[i]) && run.digit_count < DigitRun::digits_max) {
            run.digits[run.digit_count++] = static_cast<std::uint8_t>(text[i++] - '0');
            ++group.count;
        }
        ++run.group_count;
        run.end = i;
        // At most two separators, such as ") ".
        std::size_t next = i;
        while (next < text.size() && next - i < 2 && is_group_separator(text[next])) ++next;
        if (next == i || next >= text.size() || !is_digit(text[next])) break;
        before = next - i == 1 ? text[i] : ')';
        if (run.digit_count >= DigitRun::digits_max) break;
        i = next;
    }
    while (run.group_count == 1 && run.end < text.size() && is_digit(text[run.end]))
        ++run.end;  // a number longer than any form
    run.next = run.end;
    if (run.group_count == 1 ||
        (run.group_count < DigitRun::groups_max && run.digit_count < DigitRun::digits_max))
        return run;
    // A run cut at its limits goes on at the first group whose form may have been cut in two.
    std::size_t group = 1;
    while (group + 1 < run.group_count &&
           (run.group_count - group >= DigitRun::form_groups_max ||
            run.digit_count - run.groups[group].from >= DigitRun::form_digits_max))
        ++group;
    run.next = run.groups[group].at;
    return run;
}

bool has_card(const DigitRun& run, bool to_word) { return any_window(run, to_word, 13, 19, card); }

bool has_number_id(const DigitRun& run, bool to_word) {
    for (std::size_t g = 0; g < run.group_count; ++g)
        if (ssn(run, g) && !(to_word && g + 3 == run.group_count)) return true;
    return any_window(run, to_word, 11, 15, [](Digits d, std::size_t count) {
        return (count == 11 && (pesel(d) || german_tax_id(d))) || (count == 15 && french_nir(d));
    });
}

// By shape: "+" and 8 to 15 digits; (415) 555-2671 and 415-555-2671; 01 23 45 67 89; or, in up to
// four groups with the first of three digits or more and a leading 0, 9 to 12 digits. Dates, times
// and versions have other groups.
bool has_phone(std::string_view text, const DigitRun& run) {
    char before = run.begin > 0 ? text[run.begin - 1] : ' ';
    std::size_t count = 0;
    for (std::size_t g = 0; g < run.group_count && before == '+'; ++g) {
        count += run.groups[g].count;
        if (count >= 8 && count <= 15) return true;
    }
    count = run.digit_count;
    bool three = run.group_count == 3 && run.groups[0].count == 3 && run.groups[1].count == 3 &&
                 run.groups[2].count == 4;
    if (three && run.digits[0] >= 2 && run.digits[3] >= 2)
        return before == '(' || run.groups[1].before == run.groups[2].before;
    if (run.digits[0] != 0) return false;
    bool pairs = run.group_count == 5 && count == 10 &&
                 std::all_of(run.groups.begin(), run.groups.begin() + 5,
                             [](const DigitRun::Group& one) { return one.count == 2; });
    bool area = run.group_count >= 2 && run.group_count <= 4 && run.groups[0].count >= 3;
    return pairs || (area && count >= 9 && count <= 12 && !in_uuid(text, run.begin));
}

bool has_iban(std::string_view text, std::size_t at) {
    if (at < 2 || !is_letter(text[at - 2]) || !edge_before(text, at - 2)) return false;
    std::size_t length = iban_length(upper(text[at - 2]), upper(text[at - 1]));
    if (length == 0) return false;
    std::array<char, 34> chars{};
    std::size_t count = 0, i = at - 2;
    while (i < text.size() && count < length) {
        if (is_alnum(text[i]))
            chars[count++] = upper(text[i]);
        else if (text[i] != ' ' || (i + 1 < text.size() && text[i + 1] == ' '))
            return false;
        ++i;
    }
    if (count < length || !edge(text, i)) return false;
    int remainder = 0;  // of the number with the first four at its end, letters as 10 to 35
    for (std::size_t k = 0; k < length; ++k) {
        char c = chars[(k + 4) % length];
        remainder = is_digit(c) ? (remainder * 10 + (c - '0')) % 97
                                : (remainder * 100 + (c - 'A' + 10)) % 97;
    }
    return remainder == 1;
}

bool has_nino(std::string_view text, std::size_t at, std::size_t letters_end) {
    if (letters_end < 2 || !edge_before(text, letters_end - 2)) return false;
    char first = upper(text[letters_end - 2]), second = upper(text[letters_end - 1]);
    if (!is_letter(first) || std::string_view("DFIQUV").find(first) != std::string_view::npos)
        return false;
    if (!is_letter(second) || std::string_view("DFIOQUV").find(second) != std::string_view::npos)
        return false;
    std::size_t i = at;
    for (int pair = 0; pair < 3; ++pair) {
        if (digits_value(text, i, 2) < 0) return false;
        i += 2;
        if (i < text.size() && text[i] == ' ') ++i;
    }
    if (i >= text.size() || upper(text[i]) < 'A' || upper(text[i]) > 'D') return false;
    return edge(text, i + 1);
}

bool has_nie(std::string_view text, std::size_t at) {
    char first = upper(text[at - 1]);
    if (first < 'X' || first > 'Z' || !edge_before(text, at - 1)) return false;
    std::int64_t number = digits_value(text, at, 7);
    std::size_t letter = at + 7;
    if (number >= 0 && letter < text.size() && text[letter] == '-') ++letter;
    if (number < 0 || letter >= text.size() || !is_letter(text[letter])) return false;
    return edge(text, letter + 1) && dni_letter((first - 'X') * 10'000'000 + number, text[letter]);
}

bool has_dni(std::string_view text, const DigitRun& run) {
    for (std::size_t g = 0; g < run.group_count; ++g) {
        std::size_t at = run.groups[g].at;
        std::size_t letter = at + 8;
        if (run.groups[g].count != 8 || !edge_before(text, at) || letter >= text.size()) continue;
        if (text[letter] == '-') ++letter;
        if (letter >= text.size() || !is_letter(text[letter]) || !edge(text, letter + 1)) continue;
        if (dni_letter(value_of(&run.digits[run.groups[g].from], 8), text[letter])) return true;
    }
    return false;
}

bool has_codice_fiscale(std::string_view text, std::size_t at) {
    constexpr std::string_view form = "LLLLLLDDLDDLDDDL";
    if (at < 6 || at + 10 > text.size()) return false;
    std::size_t from = at - 6;
    if (!edge_before(text, from) || !edge(text, from + form.size())) return false;
    int sum = 0;
    for (std::size_t i = 0; i < form.size(); ++i) {
        char c = upper(text[from + i]);
        if (form[i] == 'L' ? !is_letter(c) : !is_digit(c)) return false;
        if (i + 1 == form.size()) return sum % 26 == c - 'A';
        sum += i % 2 == 0 ? odd_value(c) : is_digit(c) ? c - '0' : c - 'A';
    }
    return false;
}

}  // namespace sluice
