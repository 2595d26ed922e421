// What transformers gave (golden/, written by compare_transformers.py) at each depth of small
// models, and how far others are from it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/model/model_file.h"
#include "engine/model/network.h"
#include "tests/engine/hf_folder.h"
#include "tests/engine/source_tree.h"

namespace sluice {

using Rows = std::vector<std::vector<double>>;

// hashed_models() from one layer to all.
inline const std::vector<HashedModel>& hashed_depths() {
    static const std::vector<HashedModel> all = [] {
        std::vector<HashedModel> out;
        for (const HashedModel& whole : hashed_models())
            for (int layers = 1; layers <= whole.layers; ++layers) {
                out.push_back(whole);
                out.back().layers = layers;
            }
        return out;
    }();
    return all;
}

// After every eighth part of each of hashed_prompts().
constexpr int golden_rows_a_prompt = 8;
inline int golden_step(std::size_t prompt) {
    return static_cast<int>(hashed_prompts()[prompt].size()) / golden_rows_a_prompt;
}

// Logits ("logits") or states after the final norm ("hidden"), [prompts][golden_rows_a_prompt]
// [width]. None where the source tree is not at hand, as where only
// the program was carried to a GPU.
inline std::vector<Rows> golden_rows(const HashedModel& model, const char* kind, int width) {
    const std::string path = in_source_tree("tests/engine/golden/" + model.name + "_" +
                                            std::to_string(model.layers) + "." + kind);
    std::ifstream in(path, std::ios::binary);
    if (!in) return {};
    std::vector<Rows> out(hashed_prompts().size(), Rows(golden_rows_a_prompt));
    for (Rows& prompt : out)
        for (std::vector<double>& row : prompt) {
            std::vector<float> numbers(static_cast<std::size_t>(width));
            in.read(reinterpret_cast<char*>(numbers.data()),
                    static_cast<std::streamsize>(numbers.size() * sizeof(float)));
            row.assign(numbers.begin(), numbers.end());
        }
    if (!in || in.peek() != std::ifstream::traits_type::eof())
        throw std::runtime_error("not as long as it should be: " + path);
    return out;
}

inline std::vector<Rows> golden_logits(const HashedModel& model) {
    return golden_rows(model, "logits", model.vocab);
}

inline std::vector<Rows> golden_states(const HashedModel& model) {
    return golden_rows(model, "hidden", model.hidden);
}

inline std::vector<double> log_softmax_of(const std::vector<double>& logits) {
    const double top = *std::max_element(logits.begin(), logits.end());
    double mass = 0;
    for (double logit : logits) mass += std::exp(logit - top);
    std::vector<double> out;
    for (double logit : logits) out.push_back(logit - top - std::log(mass));
    return out;
}

struct Difference {
    double kl = 0;       // the largest of any token's
    double kl_mean = 0;  // of all tokens
    double share = 0;    // the largest of any logprob, in standard deviations of the logits
};

// `found`: logits or logprobs, a row for a row.
inline Difference difference(const Rows& want, const Rows& found) {
    Difference out;
    double sum = 0, squares = 0, count = 0, off = 0;
    if (want.size() != found.size()) throw std::runtime_error("not as many rows");
    for (std::size_t i = 0; i < want.size(); ++i) {
        const std::vector<double> p = log_softmax_of(want[i]);
        const std::vector<double> q = log_softmax_of(found[i]);
        double kl = 0;
        for (std::size_t t = 0; t < p.size(); ++t) {
            kl += std::exp(p[t]) * (p[t] - q[t]);
            off = std::max(off, std::abs(p[t] - q[t]));
            sum += want[i][t];
            squares += want[i][t] * want[i][t];
            ++count;
        }
        out.kl = std::max(out.kl, kl);
        out.kl_mean += kl / static_cast<double>(want.size());
    }
    out.share = off / std::sqrt(squares / count - sum / count * (sum / count));
    return out;
}

// Of two states. NaN in `found` makes all of it NaN, which passes no comparison.
struct StateDifference {
    double relative;  // ||found - want|| / ||want||
    double cosine;
};

template <class Number>
StateDifference state_difference(const std::vector<double>& want,
                                 const std::vector<Number>& found) {
    double off = 0, both = 0, wanted = 0, got = 0;
    if (want.size() != found.size()) throw std::runtime_error("not as many columns");
    for (std::size_t i = 0; i < want.size(); ++i) {
        const auto one = static_cast<double>(found[i]);
        off += (one - want[i]) * (one - want[i]);
        both += one * want[i];
        wanted += want[i] * want[i];
        got += one * one;
    }
    return {std::sqrt(off / wanted), both / std::sqrt(wanted * got)};
}

}  // namespace sluice
