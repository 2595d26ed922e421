#include "engine/model/sampling_wishes.h"

#include <cmath>

namespace sluice {
namespace {

constexpr double top_k_max = 1e9;  // of check_sampling; no vocabulary is as large

// Compared as the sampler does. Written so that NaN is nothing.
std::optional<float> within(std::optional<double> number, float low, float high) {
    const auto value = static_cast<float>(number.value_or(NAN));
    if (!(value >= low && value <= high)) return std::nullopt;
    return value;
}

}  // namespace

std::optional<float> wished_temperature(std::optional<double> number) {
    return within(number, 0.0F, 2.0F);
}

std::optional<float> wished_top_p(std::optional<double> number) {
    const auto value = within(number, 0.0F, 1.0F);
    return value == 0.0F ? std::nullopt : value;
}

std::optional<float> wished_min_p(std::optional<double> number) {
    return within(number, 0.0F, 1.0F);
}

std::optional<float> wished_repetition_penalty(std::optional<double> number) {
    return within(number, 0.01F, 100.0F);
}

std::optional<int> wished_top_k(std::optional<double> number) {
    const double value = number.value_or(NAN);
    if (!(value >= -1.0) || std::floor(value) != value) return std::nullopt;
    return value < 0.0 || value > top_k_max ? 0 : static_cast<int>(value);
}

void ignore_wish(ModelFacts& facts, std::string_view name) {
    if (!facts.ignored.empty()) facts.ignored += ", ";
    facts.ignored += name;
}

}  // namespace sluice
