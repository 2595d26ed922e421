// The CPU's kernels with keys and values kept as they were computed, in floats, where the CPU keeps
// f16: what the rest of a step is off by can be held without that rounding, which is by design and
// hundreds of times as large. Attention over them is plain loops; test_cpu_attention.cc holds the
// kernels' own over halves. One device at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/cpu/kernels.h"

namespace sluice {

class FloatKeys {
public:
    // `of` without the halves.
    static Kernels kernels(Kernels of) {
        kept().clear();
        of.store_key = of.store_value = store;
        of.attend = attend;
        return of;
    }

private:
    using Place = std::pair<const std::uint16_t*, int>;  // a head's keys or values, the slot
    static std::map<Place, std::vector<float>>& kept() {
        static std::map<Place, std::vector<float>> all;
        return all;
    }
    static void store(std::uint16_t* page, int slot, const float* row, int head_dim) {
        static std::mutex alone;  // compute threads store; none reads meanwhile
        const std::lock_guard lock(alone);
        kept()[{page, slot}].assign(row, row + head_dim);
    }
    static std::vector<const float*> rows(const AttentionArguments& a, const std::uint16_t* first,
                                          int count) {
        std::vector<const float*> out;
        for (int i = 0; i < count; ++i) {
            const auto page = static_cast<std::size_t>(a.pages[i / page_positions]);
            out.push_back(kept().at({first + page * a.page_stride, i % page_positions}).data());
        }
        return out;
    }
    static void attend(const AttentionArguments& a) {
        const std::vector<const float*> keys = rows(a, a.keys, a.position + a.tokens);
        const std::vector<const float*> values = rows(a, a.values, a.position + a.tokens);
        for (int token = 0; token < a.tokens; ++token)
            for (int head = 0; head < a.heads; ++head) {
                const auto at = static_cast<std::size_t>(token);
                const auto from = static_cast<std::size_t>(head * a.head_dim);
                attend_one(a, keys, values, a.position + token + 1,
                           a.query + at * a.query_stride + from, a.out + at * a.out_stride + from);
            }
    }
    static void attend_one(const AttentionArguments& a, const std::vector<const float*>& keys,
                           const std::vector<const float*>& values, int limit, const float* query,
                           float* out) {
        const auto seen = static_cast<std::size_t>(limit);
        const auto dim = static_cast<std::size_t>(a.head_dim);
        std::vector<double> weight(seen);
        std::vector<double> sum(dim);
        for (std::size_t p = 0; p < seen; ++p) {
            double score = 0;
            for (std::size_t d = 0; d < dim; ++d)
                score += static_cast<double>(query[d]) * static_cast<double>(keys[p][d]);
            weight[p] = score;
        }
        const double top = *std::max_element(weight.begin(), weight.end());
        double mass = 0;
        for (double& one : weight) mass += one = std::exp(one - top);
        for (std::size_t p = 0; p < seen; ++p)
            for (std::size_t d = 0; d < dim; ++d)
                sum[d] += weight[p] * static_cast<double>(values[p][d]);
        for (std::size_t d = 0; d < dim; ++d) out[d] = static_cast<float>(sum[d] / mass);
    }
};

}  // namespace sluice
