#include "engine/softmax_row.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace sluice {
namespace {

using F4 = float __attribute__((vector_size(16)));
using I4 = std::int32_t __attribute__((vector_size(16)));

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float smallest = -87.0F;  // e^x is a normal float down to here; below counts as 0

F4 spread(float x) { return F4{x, x, x, x}; }

F4 load(const float* at) {
    F4 v;
    std::memcpy(&v, at, sizeof v);
    return v;
}

// e^x for x in [-87, 0], 0 below: x = n ln2 + r, and a Taylor polynomial for e^r on
// |r| <= ln2 / 2. Relative error under 2e-7.
F4 exp4(F4 x) {
    const I4 tiny = x < spread(smallest);
    const F4 clamped = tiny ? spread(smallest) : x;
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low mantissa bits.
    const F4 magic = spread(12582912.0F);
    const F4 shifted = clamped * spread(1.44269504F) + magic;
    const F4 n = shifted - magic;
    const F4 r = (clamped - n * spread(0.693359375F)) - n * spread(-2.12194440e-4F);
    F4 p = spread(1.0F / 720);
    p = p * r + spread(1.0F / 120);
    p = p * r + spread(1.0F / 24);
    p = p * r + spread(1.0F / 6);
    p = p * r + spread(0.5F);
    p = p * r + spread(1.0F);
    p = p * r + spread(1.0F);
    I4 bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    const I4 power = (bits << 23) + (127 << 23);  // the magic's high bits shift out
    F4 scale;
    std::memcpy(&scale, &power, sizeof scale);
    return tiny ? spread(0.0F) : p * scale;
}

// The row in groups of four, the last one filled up with -inf, which weighs nothing.
template <class Use>
void each_four(std::span<const float> row, Use use) {
    std::size_t i = 0;
    for (; i + 4 <= row.size(); i += 4) use(load(row.data() + i));
    if (i == row.size()) return;
    float rest[4] = {-infinity, -infinity, -infinity, -infinity};
    std::copy(row.begin() + static_cast<std::ptrdiff_t>(i), row.end(), rest);
    use(load(rest));
}

double sum(F4 v) {
    return static_cast<double>(v[0]) + static_cast<double>(v[1]) + static_cast<double>(v[2]) +
           static_cast<double>(v[3]);
}

std::span<const float> block_at(std::span<const float> row, std::size_t begin) {
    return row.subspan(begin, std::min(softmax_block, row.size() - begin));
}

void find_tops(std::span<const float> row, RowSummary& out) {
    F4 first = spread(-infinity);
    F4 second = first;
    I4 broken = {0, 0, 0, 0};
    each_four(row, [&](F4 x) {
        broken |= ~(x < spread(infinity));  // NaN and +inf
        const F4 lower = x < first ? x : first;
        second = lower > second ? lower : second;
        first = x > first ? x : first;
    });
    out.top = -infinity;
    out.second = -infinity;
    for (int lane = 0; lane < 4; ++lane) {
        if (broken[lane]) return;
        for (float value : {first[lane], second[lane]}) {
            out.second = std::max(out.second, std::min(out.top, value));
            out.top = std::max(out.top, value);
        }
    }
    out.usable = out.top > -infinity;
}

}  // namespace

RowSummary summarize_row(std::span<const float> row) {
    RowSummary out;
    find_tops(row, out);
    if (!out.usable) return out;
    const F4 top = spread(out.top);
    double weighted = 0;
    for (std::size_t begin = 0; begin < row.size(); begin += softmax_block) {
        F4 mass = spread(0.0F);
        F4 moment = spread(0.0F);
        each_four(block_at(row, begin), [&](F4 x) {
            const F4 d = x - top;
            const F4 e = exp4(d);
            mass += e;
            moment += e * (d < spread(smallest) ? spread(0.0F) : d);
        });
        out.mass += sum(mass);
        weighted += sum(moment);
    }
    out.entropy = static_cast<float>(std::log(out.mass) - weighted / out.mass);
    return out;
}

std::size_t argmax_row(std::span<const float> row) {
    float best = -infinity;
    std::size_t best_at = 0;  // begin of the first block that holds the best value
    for (std::size_t begin = 0; begin < row.size(); begin += softmax_block) {
        F4 top = spread(-infinity);
        each_four(block_at(row, begin), [&](F4 x) { top = x > top ? x : top; });
        const float block = std::max(std::max(top[0], top[1]), std::max(top[2], top[3]));
        if (!(block > best)) continue;
        best = block;
        best_at = begin;
    }
    while (row[best_at] < best) ++best_at;
    return best_at;
}

double softmax_mass(std::span<const float> row, float top, float scale, float floor,
                    std::vector<double>* blocks) {
    if (blocks != nullptr) blocks->clear();
    const F4 low = spread(floor);
    double total = 0;
    for (std::size_t begin = 0; begin < row.size(); begin += softmax_block) {
        F4 mass = spread(0.0F);
        each_four(block_at(row, begin), [&](F4 x) {
            const F4 e = exp4((x - spread(top)) * spread(scale));
            mass += x < low ? spread(0.0F) : e;
        });
        const double block = sum(mass);
        if (blocks != nullptr) blocks->push_back(block);
        total += block;
    }
    return total;
}

}  // namespace sluice
