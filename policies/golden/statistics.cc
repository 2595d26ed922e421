#include "policies/golden/statistics.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace sluice {

ShareInterval wilson_interval(std::int64_t right, std::int64_t of) {
    if (of <= 0) return {0, 1};
    constexpr double z = 1.959963984540054;
    auto n = static_cast<double>(of);
    double share = static_cast<double>(right) / n;
    double middle = share + z * z / (2 * n);
    double wide = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
    double scale = 1 + z * z / n;
    return {std::max(0.0, (middle - wide) / scale), std::min(1.0, (middle + wide) / scale)};
}

double mcnemar_exact(std::int64_t lost, std::int64_t won) {
    std::int64_t n = lost + won;
    if (n == 0) return 1;
    auto whole = static_cast<double>(n);
    double tail = 0;
    for (std::int64_t k = 0; k <= std::min(lost, won); ++k) {
        auto taken = static_cast<double>(k);
        tail += std::exp(std::lgamma(whole + 1) - std::lgamma(taken + 1) -
                         std::lgamma(whole - taken + 1) - whole * std::log(2.0));
    }
    return std::min(1.0, 2 * tail);
}

ShareInterval paired_interval(std::int64_t lost, std::int64_t won, std::int64_t pairs) {
    if (pairs <= 0) return {-1, 1};
    double b = static_cast<double>(lost) + 0.5, c = static_cast<double>(won) + 0.5;
    double n = static_cast<double>(pairs) + 2;
    double middle = (c - b) / n;
    double wide = 1.959963984540054 * std::sqrt(b + c - (c - b) * (c - b) / n) / n;
    return {std::max(-1.0, middle - wide), std::min(1.0, middle + wide)};
}

Bootstrap paired_bootstrap(const std::vector<double>& differences) {
    constexpr std::size_t rounds = 4'000;
    Bootstrap out;
    if (differences.empty()) return {{-1, 1}, 1};
    std::mt19937_64 random(20'261'122);
    std::vector<double> means(rounds);
    std::size_t n = differences.size();
    for (double& mean : means) {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += differences[random() % n];
        mean = sum / static_cast<double>(n);
    }
    std::sort(means.begin(), means.end());
    out.mean = {means[rounds / 40], means[rounds - 1 - rounds / 40]};
    auto at_most_0 = std::upper_bound(means.begin(), means.end(), 1e-12) - means.begin();
    auto at_least_0 = means.end() - std::lower_bound(means.begin(), means.end(), -1e-12);
    double tail = static_cast<double>(std::min<std::ptrdiff_t>(at_most_0, at_least_0));
    out.p = std::min(1.0, 2 * (tail + 1) / (rounds + 1));
    return out;
}

}  // namespace sluice
