#include "policies/golden/score.h"

#include <charconv>
#include <cmath>

namespace sluice {
namespace {

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

}  // namespace

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
