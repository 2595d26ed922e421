// The number that an answer ends with, as people and models write it.
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "policies/golden/score.h"

namespace sluice {
namespace {

bool digit(char sign) { return sign >= '0' && sign <= '9'; }
bool letter(char sign) { return std::isalpha(static_cast<unsigned char>(sign)) != 0; }

// Takes one of these away at the end of `text`.
bool drop_last(std::string_view& text, std::initializer_list<std::string_view> of) {
    for (std::string_view one : of)
        if (text.ends_with(one)) {
            text.remove_suffix(one.size());
            return true;
        }
    return false;
}

// Whether a minus before it belongs to a number: "is -5", "-$5", "= - 5", with U+2212, too; not
// "7 - 5" and "item-42".
bool is_negative(std::string_view before) {
    drop_last(before, {"$", "\u20ac", "\u00a3"});
    bool apart = false;
    while (drop_last(before, {" "})) apart = true;
    if (!drop_last(before, {"-", "\u2212"})) return false;
    if (apart)
        while (drop_last(before, {" "})) {
        }
    return before.empty() || (!digit(before.back()) && !letter(before.back()) &&
                              before.back() != ')' && before.back() != '}');
}

// The length of what stands between thousands at `at`, three digits behind it and no fourth; 0:
// nothing does. A plain space only behind one to three digits.
std::size_t thousands_mark(std::string_view text, std::size_t at, std::size_t digits_before) {
    for (std::string_view mark :
         {std::string_view(","), std::string_view("{,}"), std::string_view("\\,"),
          std::string_view("\u00a0"), std::string_view("\u202f"), std::string_view("\u2009"),
          std::string_view(" ")}) {
        if (text.substr(at, mark.size()) != mark) continue;
        if (mark == " " && digits_before > 3) continue;
        std::string_view rest = text.substr(at + mark.size());
        std::size_t digits = 0;
        while (digits < rest.size() && digits < 4 && digit(rest[digits])) ++digits;
        if (digits == 3) return mark.size();
    }
    return 0;
}

// Behind an exponent at `at`, or `at`.
std::size_t exponent_end(std::string_view text, std::size_t at) {
    if (at >= text.size() || (text[at] != 'e' && text[at] != 'E')) return at;
    std::size_t from = at + 1;
    if (from < text.size() && (text[from] == '-' || text[from] == '+')) ++from;
    std::size_t end = from;
    while (end < text.size() && digit(text[end])) ++end;
    return end > from ? end : at;
}

// Reads digits at `at` without a sign, moving behind them. What is too large is infinite.
double plain_number(std::string_view text, std::size_t& at) {
    std::string digits;
    std::size_t group = 0;
    while (at < text.size()) {
        const std::size_t mark =
            digit(text[at]) || group == 0 ? 0 : thousands_mark(text, at, group);
        if (mark == 0 && !digit(text[at])) break;
        if (mark == 0) digits += text[at++];
        group = mark == 0 ? group + 1 : 0;
        at += mark;
    }
    if (at + 1 < text.size() && text[at] == '.' && digit(text[at + 1])) {
        do digits += text[at++];
        while (at < text.size() && digit(text[at]));
    }
    const std::size_t power = exponent_end(text, at);
    digits += text.substr(at, power - at);
    at = power;
    return std::strtod(digits.c_str(), nullptr);
}

// What follows a number and is part of it: "^3", "/2". Moves behind it.
double with_what_follows(double value, std::string_view text, std::size_t& at) {
    auto operand = [&](char sign) {
        if (at + 1 >= text.size() || text[at] != sign) return false;
        std::size_t next = at + 1 + (text[at + 1] == '{' ? 1 : 0);
        return next < text.size() && digit(text[next]);
    };
    for (char sign : {'^', '/'}) {
        if (!operand(sign)) continue;
        at += text[at + 1] == '{' ? 2 : 1;
        const double by = plain_number(text, at);
        value = sign == '^' ? std::pow(value, by) : value / by;
    }
    return value;
}

// "\frac{1}{2}" at `at`, moving behind it.
std::optional<double> fraction(std::string_view text, std::size_t& at) {
    for (std::string_view opening : {"\\frac{", "\\dfrac{", "\\tfrac{"}) {
        if (text.substr(at, opening.size()) != opening) continue;
        std::size_t next = at + opening.size();
        if (next >= text.size() || !digit(text[next])) return {};
        const double above = plain_number(text, next);
        if (text.substr(next, 2) != "}{") return {};
        next += 2;
        if (next >= text.size() || !digit(text[next])) return {};
        const double below = plain_number(text, next);
        at = next;
        return above / below;
    }
    return {};
}

std::string_view last_boxed(std::string_view text) {
    constexpr std::string_view opening = "\\boxed{";
    std::size_t at = text.rfind(opening);
    if (at == std::string_view::npos) return {};
    std::size_t from = at + opening.size();
    int depth = 1;
    for (std::size_t i = from; i < text.size(); ++i) {
        if (text[i] == '{') ++depth;
        if (text[i] == '}' && --depth == 0) return text.substr(from, i - from);
    }
    return {};
}

// Not of an exponent ("m^2"), nor of a name ("R2", "0x10").
bool begins_number(std::string_view text, std::size_t at) {
    const char before = at > 0 ? text[at - 1] : ' ';
    if (text[at] == '.') return at + 1 < text.size() && digit(text[at + 1]) && !digit(before);
    return digit(text[at]) && before != '^' && !letter(before) &&
           !text.substr(0, at).ends_with("^{");
}

}  // namespace

std::optional<double> last_number(std::string_view text) {
    std::string_view boxed = last_boxed(text);
    if (!boxed.empty()) text = boxed;
    std::optional<double> last;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t from = at;
        std::optional<double> found = fraction(text, at);
        if (!found && begins_number(text, at)) found = plain_number(text, at);
        if (!found) {  // the digits of a name are passed over as one
            do ++at;
            while (at < text.size() && digit(text[at]) && digit(text[at - 1]));
            continue;
        }
        const double sign = is_negative(text.substr(0, from)) ? -1 : 1;
        last = sign * with_what_follows(*found, text, at);
    }
    return last;
}

}  // namespace sluice
