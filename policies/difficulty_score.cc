#include "policies/difficulty_score.h"

#include <algorithm>
#include <cmath>

namespace sluice {

double difficulty_score(double failing_share, double reasoning) {
    double share = std::clamp(failing_share, 1e-6, 1 - 1e-6);
    double log_odds = std::log(share / (1 - share)) + 2 * reasoning - 1;
    return 1 / (1 + std::exp(-log_odds));
}

}  // namespace sluice
