// The few statistics that a comparison of answers needs. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

struct ShareInterval {
    double low = 0;
    double high = 0;
};

// Wilson's 95 % interval of a share (E. B. Wilson, 1927). {0, 1} of none.
ShareInterval wilson_interval(std::int64_t right, std::int64_t of);

// McNemar's exact two-sided p: of the pairs that differ, `lost` went one way, `won` the other.
double mcnemar_exact(std::int64_t lost, std::int64_t won);

// 95 % interval of the difference of two shares of the same `pairs`: Agresti and Min (2005), which
// stays wide where few pairs or none differ.
ShareInterval paired_interval(std::int64_t lost, std::int64_t won, std::int64_t pairs);

// Percentile bootstrap over pairs, 4,000 resamples from a fixed seed: the same figures every time.
struct Bootstrap {
    ShareInterval mean;  // 95 %
    double p = 1;        // two-sided, of a mean of 0
};
Bootstrap paired_bootstrap(const std::vector<double>& differences);

}  // namespace sluice
