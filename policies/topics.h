// What texts are about, without labels: the directions in which their hashed words vary most
// (latent semantic analysis: the right singular vectors of the texts' matrix of words, by
// orthogonal iteration, Golub and Van Loan, Matrix Computations, 8.2.4). Pure; the same rows give
// the same.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "policies/forest.h"
#include "policies/linear_fit.h"

namespace sluice {

struct Topics {
    std::vector<std::int8_t> hashed;        // [bucket_count][topic_count]
    std::array<float, topic_count> step{};  // one of `hashed` is worth so much

    // About one standard deviation each over the rows that they were found in.
    std::array<float, topic_count> of(const FitRow& row) const;
};

Topics find_topics(const std::vector<const FitRow*>& rows);

}  // namespace sluice
