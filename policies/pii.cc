// The pass stops only at digits and '@': every form that is looked for has one of them. At the
// first digit of a run, the run is read once, group by group; forms with letters are looked at from
// the run's first digit. All looking back and ahead is bounded by the longest form. Most bytes are
// passed over sixteen at a time, and most runs have too few digits for any form.
#include "policies/pii.h"

#include <algorithm>
#include <array>

#include "policies/next_byte.h"
#include "policies/pii_numbers.h"

namespace sluice {
namespace {

constexpr PiiName names[] = {{"email", pii_email},
                             {"phone", pii_phone},
                             {"iban", pii_iban},
                             {"card", pii_card},
                             {"national_id", pii_national_id}};

constexpr std::size_t local_bytes_max = 64;    // RFC 5321
constexpr std::size_t domain_bytes_max = 255;  // likewise

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
bool is_wordy(char c) { return is_digit(c) || is_letter(c) || c == '_'; }

// The bytes at which a pass stops: for numbers, addresses, both.
constexpr std::array<std::uint8_t, 256> make_stops() {
    std::array<std::uint8_t, 256> stops{};
    for (char c = '0'; c <= '9'; ++c)
        stops[static_cast<unsigned char>(c)] = static_cast<PiiSet>(pii_all & ~pii_email);
    stops['@'] = pii_email;
    return stops;
}
constexpr std::array<std::uint8_t, 256> stops = make_stops();

// The next byte from `at` at which a pass may stop; the text's end if there is none.
std::size_t next_stop(std::string_view text, std::size_t at) {
    return next_byte(text, at, [](ByteBlock c) -> ByteBlock {
        return reinterpret_cast<ByteBlock>(((c - '0') < 10) | (c == '@'));
    });
}

// Where the run of digit groups from `at` ends, if it has fewer digits than any form (a DNI's and
// the shortest phone number's 8); otherwise 0.
std::size_t short_run_end(std::string_view text, std::size_t at) {
    constexpr std::size_t form_digits_min = 8;
    for (std::size_t i = at, digits = 0, end = at; digits < form_digits_min;) {
        while (i < text.size() && is_digit(text[i])) ++i, ++digits;
        if (digits >= form_digits_min) break;
        end = i;
        while (i < text.size() && i - end < 2 && is_group_separator(text[i])) ++i;
        if (i == end || i >= text.size() || !is_digit(text[i])) return end;
    }
    return 0;
}

// `at` is the '@'. Both ways the scan ends at another '@', so all of them together are one pass.
bool email_at(std::string_view text, std::size_t at) {
    auto local = [](char c) {
        return is_digit(c) || is_letter(c) || c == '.' || c == '_' || c == '+' || c == '-' ||
               c == '%';
    };
    if (at == 0 || !local(text[at - 1]) || text[at - 1] == '.') return false;
    std::size_t from = at;
    while (from > 0 && at - from <= local_bytes_max && local(text[from - 1])) --from;
    if (at - from > local_bytes_max) return false;
    std::size_t label = 0, letters = 0;  // of the domain's last label
    bool dotted = false;
    std::size_t end = at + 1;
    for (; end < text.size() && end - at <= domain_bytes_max; ++end) {
        char c = text[end];
        if (c == '.' && label > 0) {
            bool more =
                end + 1 < text.size() && (is_digit(text[end + 1]) || is_letter(text[end + 1]));
            if (!more) break;
            dotted = true;
            label = letters = 0;
        } else if (is_digit(c) || is_letter(c) || c == '-') {
            ++label;
            letters += is_letter(c) ? 1 : 0;
        } else {
            break;
        }
    }
    return dotted && label >= 2 && letters == label;
}

class Scan {
public:
    Scan(std::string_view text, PiiSet wanted) : text_(text), wanted_(wanted) {}

    PiiSet run() {
        std::size_t at = 0;
        while (found_ != wanted_ && (at = next_stop(text_, at)) < text_.size()) {
            char c = text_[at];
            if ((stops[static_cast<unsigned char>(c)] & wanted_) == 0) {
                ++at;
            } else if (c == '@') {
                note(pii_email, [&] { return email_at(text_, at); });
                ++at;
            } else {
                at = digits_at(at);
            }
        }
        return found_;
    }

private:
    template <class Check>
    void note(PiiSet kind, Check check) {
        if ((wanted_ & kind) != 0 && (found_ & kind) == 0 && check()) found_ |= kind;
    }

    // Reads the run of digit groups that begins here; gives where to go on.
    std::size_t digits_at(std::size_t at) {
        lettered(at);
        if (std::size_t end = short_run_end(text_, at); end != 0) return end;
        DigitRun run = read_digit_run(text_, at);
        bool from_word = at > 0 && is_wordy(text_[at - 1]);
        bool to_word = run.end < text_.size() && is_wordy(text_[run.end]);
        note(pii_national_id, [&] { return has_dni(text_, run); });
        if (from_word) return run.first_group_end();  // part of a word or a longer name
        note(pii_card, [&] { return has_card(run, to_word); });
        note(pii_national_id, [&] { return has_number_id(run, to_word); });
        note(pii_phone, [&] { return !to_word && has_phone(text_, run); });
        return run.next;
    }

    // Forms that begin with letters: looked at from their first digit.
    void lettered(std::size_t at) {
        if (at == 0) return;
        if (at >= 3 && text_[at - 1] == ' ' && is_letter(text_[at - 2]))
            note(pii_national_id, [&] { return has_nino(text_, at, at - 1); });
        if (!is_letter(text_[at - 1])) return;
        note(pii_iban, [&] { return has_iban(text_, at); });
        note(pii_national_id, [&] {
            return has_nino(text_, at, at) || has_nie(text_, at) || has_codice_fiscale(text_, at);
        });
    }

    std::string_view text_;
    PiiSet wanted_;
    PiiSet found_ = 0;
};

}  // namespace

std::span<const PiiName> pii_names() { return names; }

PiiSet find_pii(std::string_view text, PiiSet wanted) { return Scan(text, wanted).run(); }

}  // namespace sluice
