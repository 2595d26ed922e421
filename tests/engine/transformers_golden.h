// Logits that transformers gave (golden/*.logits, written by compare_transformers.py), and how far
// others are from them.
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

namespace sluice {

using Rows = std::vector<std::vector<double>>;

// After every second of hashed_tokens(), [24][vocab]. None where the source tree is not at hand, as
// where only the program was carried to a GPU.
inline Rows golden_logits(const HashedModel& model) {
    const std::string path =
        std::string(SLUICE_SOURCE_DIR) + "/tests/engine/golden/" + model.name + ".logits";
    std::ifstream in(path, std::ios::binary);
    if (!in) return {};
    Rows out(hashed_tokens().size() / 2);
    for (std::vector<double>& row : out) {
        std::vector<std::int16_t> codes(static_cast<std::size_t>(model.vocab));
        in.read(reinterpret_cast<char*>(codes.data()),
                static_cast<std::streamsize>(codes.size() * sizeof codes[0]));
        for (std::int16_t code : codes) row.push_back(code / 1024.0);
    }
    if (!in) throw std::runtime_error("cannot read " + path);
    return out;
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
    double kl = 0;     // the largest of any token's
    double share = 0;  // the largest of any logprob, in standard deviations of the logits
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
    }
    out.share = off / std::sqrt(squares / count - sum / count * (sum / count));
    return out;
}

}  // namespace sluice
