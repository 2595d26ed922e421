// A paged KV cache of random keys and values with plain copies of them, and attention over it by
// plain loops in double. Pages are scattered; everything of the cache that no token owns is NaN.
#pragma once

#include <cuda_fp8.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "engine/cuda/attention.h"
#include "tests/cuda/device_buffer.h"

namespace sluice::cuda {

struct Heads {
    int query, kv, dim;
};

inline double as_double(bf16 value) { return double{__bfloat162float(value)}; }
inline double as_double(f16 value) { return double{__half2float(value)}; }

class AttentionWorld {
public:
    static constexpr int layers = 2, layer = 1, stride = 2050;

    // `contexts`: positions stored of each slot. `size`: of keys.
    AttentionWorld(KvFormat format, Heads heads, std::vector<int> contexts, double size = 1)
        : heads_(heads), contexts_(std::move(contexts)), format_(format) {
        std::size_t pages = 1;
        for (int context : contexts_) pages += pages_of(context);
        order_.resize(pages);
        std::iota(order_.begin(), order_.end(), 0);
        std::shuffle(order_.begin(), order_.end(), random_);
        bytes_.assign(
            pages * static_cast<std::size_t>(kv_page_bytes(format, layers, heads.kv, heads.dim)),
            0xFF);
        table_.assign(contexts_.size() * stride, -1);
        for (std::size_t i = 0; i < static_cast<std::size_t>(2 * layers * heads.kv); ++i)
            scale_.push_back(format == KvFormat::bf16 ? 1.0F : 0.5F + 0.1F * static_cast<float>(i));
        fill(size);
    }

    // Moves the host's bytes to the device.
    KvCache cache() {
        device_.emplace_back(bytes_);
        scales_.emplace_back(scale_);
        return {format_,
                layers,
                static_cast<std::int64_t>(order_.size()),
                heads_.kv,
                heads_.dim,
                device_.back().get(),
                format_ == KvFormat::bf16 ? nullptr : scales_.back().get()};
    }
    std::vector<std::uint8_t> cache_now() const { return device_.back().host(); }
    const std::vector<std::uint8_t>& bytes() const { return bytes_; }
    const std::vector<std::int32_t>& table() const { return table_; }
    std::int32_t page(int slot, int position) const {
        return table_[static_cast<std::size_t>(slot * stride + position / page_positions)];
    }
    const Heads& heads() const { return heads_; }
    const std::vector<float>& scale() const { return scale_; }

    // Index in the cache, in codes, of element d.
    std::size_t index(int page, bool is_value, int k, int position, int d) const {
        const auto K = static_cast<std::size_t>(heads_.kv);
        std::size_t at =
            static_cast<std::size_t>(layer) * order_.size() + static_cast<std::size_t>(page);
        at = (at * 2 + is_value) * K + static_cast<std::size_t>(k);
        at = at * page_positions + static_cast<std::size_t>(position % page_positions);
        return at * static_cast<std::size_t>(heads_.dim) + static_cast<std::size_t>(d);
    }
    double code(const std::vector<std::uint8_t>& bytes, std::size_t index, bool is_value,
                int k) const {
        const std::size_t at = static_cast<std::size_t>((layer * 2 + is_value) * heads_.kv + k);
        if (format_ == KvFormat::bf16) {
            bf16 value;
            std::memcpy(&value, bytes.data() + index * 2, 2);
            return as_double(value);
        }
        __nv_fp8_e4m3 value;
        value.__x = bytes[index];
        return double{static_cast<float>(value)} * double{scale_[at]};
    }

    std::vector<bf16> queries(int T, double size = 1) {
        std::normal_distribution<double> normal(0, size);
        std::vector<bf16> out(static_cast<std::size_t>(T * heads_.query * heads_.dim));
        for (bf16& value : out)
            value = __float2bfloat16(static_cast<float>(
                normal(random_) * 1.4427 / std::sqrt(static_cast<double>(heads_.dim))));
        return out;
    }

    // A query [Q, D] nearly all of whose weight is on one position, of up to 131,072 random keys.
    std::vector<bf16> query_for(int slot, int position) const {
        std::vector<bf16> out;
        for (int head = 0; head < heads_.query; ++head) {
            const double* key = plain(slot, false, position, head / (heads_.query / heads_.kv));
            for (int d = 0; d < heads_.dim; ++d)
                out.push_back(__float2bfloat16(static_cast<float>(
                    8 * key[d] * 1.4427 / std::sqrt(static_cast<double>(heads_.dim)))));
        }
        return out;
    }
    // The value [Q, D] there, as each query head has it.
    std::vector<double> value_at(int slot, int position) const {
        std::vector<double> out;
        for (int head = 0; head < heads_.query; ++head) {
            const double* value = plain(slot, true, position, head / (heads_.query / heads_.kv));
            out.insert(out.end(), value, value + heads_.dim);
        }
        return out;
    }

    // Attention of one query row [Q, D] at a position of a slot.
    std::vector<double> attend(const bf16* query, int slot, int position) const {
        const auto D = static_cast<std::size_t>(heads_.dim);
        std::vector<double> out(static_cast<std::size_t>(heads_.query) * D, 0.0);
        std::vector<double> weight(static_cast<std::size_t>(position) + 1);
        for (int head = 0; head < heads_.query; ++head) {
            const int k = head / (heads_.query / heads_.kv);
            const std::size_t row = static_cast<std::size_t>(head) * D;
            double top = -1e300, sum = 0;
            for (int p = 0; p <= position; ++p) {
                const double* key = plain(slot, false, p, k);
                double score = 0;
                for (std::size_t d = 0; d < D; ++d) score += as_double(query[row + d]) * key[d];
                weight[static_cast<std::size_t>(p)] = score;
                top = std::max(top, score);
            }
            for (double& w : weight) sum += w = std::exp2(w - top);
            for (int p = 0; p <= position; ++p) {
                const double* value = plain(slot, true, p, k);
                const double w = weight[static_cast<std::size_t>(p)] / sum;
                for (std::size_t d = 0; d < D; ++d) out[row + d] += w * value[d];
            }
        }
        return out;
    }

private:
    static std::size_t pages_of(int context) {
        return static_cast<std::size_t>((context + page_positions - 1) / page_positions);
    }
    void put(std::size_t index, float value, float scale) {
        if (format_ == KvFormat::bf16) {
            const bf16 code = __float2bfloat16(value);
            std::memcpy(bytes_.data() + index * 2, &code, 2);
        } else {
            bytes_[index] = __nv_fp8_e4m3(value / scale).__x;
        }
    }
    void fill(double size) {
        std::normal_distribution<float> normal;
        std::size_t used = 0;
        for (std::size_t slot = 0; slot < contexts_.size(); ++slot) {
            starts_.push_back(plain_.size());
            for (std::size_t i = 0; i < pages_of(contexts_[slot]); ++i)
                table_[slot * stride + i] = order_[used++];
            for (int p = 0; p < contexts_[slot]; ++p)
                for (int half = 0; half < 2; ++half)
                    for (int k = 0; k < heads_.kv; ++k)
                        for (int d = 0; d < heads_.dim; ++d) {
                            const std::size_t at =
                                index(page(static_cast<int>(slot), p), half != 0, k, p, d);
                            const float factor = half != 0 ? 1.0F : static_cast<float>(size);
                            put(at, normal(random_) * factor,
                                scale_[static_cast<std::size_t>((layer * 2 + half) * heads_.kv +
                                                                k)]);
                            plain_.push_back(code(bytes_, at, half != 0, k));
                        }
        }
    }
    const double* plain(int slot, bool is_value, int position, int k) const {
        const auto row = static_cast<std::size_t>((position * 2 + is_value) * heads_.kv + k);
        return plain_.data() + starts_[static_cast<std::size_t>(slot)] +
               row * static_cast<std::size_t>(heads_.dim);
    }

    Heads heads_;
    std::vector<int> contexts_;
    KvFormat format_;
    std::mt19937 random_{7};
    std::vector<std::int32_t> order_, table_;
    std::vector<std::uint8_t> bytes_;
    std::vector<float> scale_;
    std::vector<double> plain_;  // [slot][position][key|value][K][D]
    std::vector<std::size_t> starts_;
    std::vector<DeviceBuffer<std::uint8_t>> device_;
    std::vector<DeviceBuffer<float>> scales_;
};

// ||got - want|| / ||want||; NaN in `got` gives NaN, which passes no comparison.
template <class T>
double relative_error(const T* got, const std::vector<double>& want) {
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double d = as_double(got[i]) - want[i];
        difference += d * d;
        norm += want[i] * want[i];
    }
    return std::sqrt(difference / norm);
}

}  // namespace sluice::cuda
