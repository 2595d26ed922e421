// How a model's makers would have it sampled, alike for all kinds of files: what the sampler takes
// of a number that a file gives, and the names of what it does not. None of it stops a model from
// opening. Pure: any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/model/model_file.h"

namespace sluice {

// From what the file says, nothing where that is no number; nothing where the sampler does not take
// it (sampler.h's check_sampling, and temperatures to 2 only).
std::optional<float> wished_temperature(std::optional<double> number);
std::optional<float> wished_top_p(std::optional<double> number);
std::optional<float> wished_min_p(std::optional<double> number);
std::optional<float> wished_repetition_penalty(std::optional<double> number);
// 0 (off) also from -1, as others write it, and from more than the sampler takes.
std::optional<int> wished_top_k(std::optional<double> number);

void ignore_wish(ModelFacts& facts, std::string_view name);

template <class Value>
void take_wish(ModelFacts& facts, std::optional<Value>& fact, std::string_view name,
               std::optional<Value> wished) {
    fact = wished;
    if (!wished) ignore_wish(facts, name);
}

}  // namespace sluice
