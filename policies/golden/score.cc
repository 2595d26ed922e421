#include "policies/golden/score.h"

#include <charconv>
#include <cmath>

namespace sluice {
namespace {

bool digit(char sign) { return sign >= '0' && sign <= '9'; }

bool space(char sign) { return sign == ' ' || (sign >= '\t' && sign <= '\r'); }

std::string normalised(std::string_view text, const ExactScorer& how) {
    if (how.trim) {
        while (!text.empty() && space(text.front())) text.remove_prefix(1);
        while (!text.empty() && space(text.back())) text.remove_suffix(1);
    }
    std::string out;
    for (char sign : text) {
        bool blank = how.collapse_space && space(sign);
        if (blank && !out.empty() && out.back() == ' ') continue;
        if (blank) sign = ' ';
        bool capital = how.ignore_case && sign >= 'A' && sign <= 'Z';
        out += capital ? static_cast<char>(sign + 32) : sign;
    }
    return out;
}

Score yes_or(bool right, std::string why) {
    if (right) return {1, ""};
    return {0, std::move(why)};
}

Score score_exact(const ExactScorer& scorer, std::string_view answer) {
    std::string got = normalised(answer, scorer);
    for (const std::string& one : scorer.right)
        if (normalised(one, scorer) == got) return {1, ""};
    return {0, "another text"};
}

Score score_numeric(const NumericScorer& scorer, std::string_view answer) {
    auto got = last_number(answer);
    if (!got) return {0, "no number in it"};
    double off = std::abs(*got - scorer.right);
    // One part in 10^12 besides: 0.1 + 0.2 is 0.3.
    bool right = off <= scorer.tolerance + std::abs(scorer.right) * 1e-12;
    char text[64];
    std::snprintf(text, sizeof text, "%g, expected %g", *got, scorer.right);
    return yes_or(right, text);
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

// Three digits follow, and no fourth: a comma between thousands.
bool thousands_follow(std::string_view text, std::size_t at) {
    for (std::size_t i = 1; i <= 3; ++i)
        if (at + i >= text.size() || !digit(text[at + i])) return false;
    return at + 4 >= text.size() || !digit(text[at + 4]);
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

// Reads a number at `at`, moving behind it.
double number_at(std::string_view text, std::size_t& at) {
    std::string digits;
    bool negative = at > 0 && text[at - 1] == '-';
    bool subtraction = at > 1 && std::isalnum(static_cast<unsigned char>(text[at - 2])) != 0;
    if (negative && !subtraction) digits = "-";
    while (at < text.size()) {
        bool comma = text[at] == ',' && thousands_follow(text, at);
        if (!digit(text[at]) && !comma) break;
        if (!comma) digits += text[at];
        ++at;
    }
    if (at + 1 < text.size() && text[at] == '.' && digit(text[at + 1])) {
        do digits += text[at++];
        while (at < text.size() && digit(text[at]));
    }
    std::size_t power = exponent_end(text, at);
    if (power > at) {
        for (char sign : text.substr(at, power - at))
            if (sign != '+') digits += sign;
        at = power;
    }
    double value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

}  // namespace

std::optional<double> last_number(std::string_view text) {
    std::string_view boxed = last_boxed(text);
    if (!boxed.empty()) text = boxed;
    std::optional<double> last;
    for (std::size_t at = 0; at < text.size();) {
        bool begins = digit(text[at]) || (text[at] == '.' && at + 1 < text.size() &&
                                          digit(text[at + 1]) && (at == 0 || !digit(text[at - 1])));
        if (begins)
            last = number_at(text, at);
        else
            ++at;
    }
    return last;
}

std::string_view code_of(std::string_view answer) {
    constexpr std::string_view fence = "```";
    std::string_view found = answer;
    for (std::size_t at = answer.find(fence); at != std::string_view::npos;) {
        std::size_t line = answer.find('\n', at);
        if (line == std::string_view::npos) break;
        std::size_t end = answer.find(fence, line);
        found = answer.substr(line + 1, end == std::string_view::npos ? end : end - line - 1);
        if (end == std::string_view::npos) break;
        at = answer.find(fence, end + fence.size());
    }
    return found;
}

std::optional<Score> score_text(const Scorer& scorer, std::string_view answer) {
    if (auto* exact = std::get_if<ExactScorer>(&scorer)) return score_exact(*exact, answer);
    if (auto* numeric = std::get_if<NumericScorer>(&scorer)) return score_numeric(*numeric, answer);
    if (auto* regex = std::get_if<RegexScorer>(&scorer))
        return yes_or(regex->pattern.found_in(answer), "does not match");
    if (auto* json = std::get_if<JsonScorer>(&scorer)) {
        std::string fault = json_shape_fault(json->shape, answer);
        return yes_or(fault.empty(), fault);
    }
    return {};
}

}  // namespace sluice
