// Attention over paged keys and values: see kernels.h.
//
// Queries go in tiles of S::attention_rows (a row is one token's one head), keys in runs of
// `run_positions`. Per run: scores from the transposed keys (16 positions a register), one step
// of the running softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax"),
// then the weighted values. Runs start at multiples of run_positions whatever the tile, and a
// masked position adds an exact zero: a row's result does not depend on the rows beside it.
#pragma once

#include "engine/cpu/float_kernels.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/matmul_kernels.h"

namespace sluice {
namespace {

constexpr int run_pages = 4;
constexpr int run_positions = run_pages * page_positions;

struct QueryRow {
    const float* query;
    float* out;
    int limit;   // how many positions it sees
    float top;   // largest score so far
    float mass;  // sum of exp(score - top)
    alignas(64) float score[run_positions];
    alignas(64) float value[head_dim_max];  // weighted sum so far
};

template <class S, int rows>
inline void score_page(QueryRow* row, const std::uint16_t* keys, int head_dim, int at) {
    using F = typename S::F;
    constexpr int vectors = page_positions / S::lanes;
    F sum[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sum[r][v] = S::zero();
    for (int d = 0; d < head_dim; ++d, keys += page_positions) {
        F key[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) key[v] = S::load_half(keys + v * S::lanes);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            F query = S::set(row[r].query[d]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sum[r][v] = S::fma(query, key[v], sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) S::store(row[r].score + at + v * S::lanes, sum[r][v]);
}

// Scores to weights; positions past the row's limit get zero. Rescales what is summed so far.
template <class S>
inline void weigh_run(QueryRow& row, int begin, int padded_dim) {
    using F = typename S::F;
    int seen = row.limit - begin;
    if (seen > run_positions) seen = run_positions;
    if (seen <= 0) seen = 0;
    for (int i = seen; i < run_positions; ++i) row.score[i] = 0.0F;
    if (seen == 0) return;
    float top = row.top;
    for (int i = 0; i < seen; ++i) top = row.score[i] > top ? row.score[i] : top;
    F shift = S::set(top);
    F mass = S::zero();
    for (int i = 0; i < run_positions; i += S::lanes) {
        if (i >= seen) break;
        F weight = exponential<S>(S::sub(S::load(row.score + i), shift));
        S::store(row.score + i, weight);
        for (int k = seen - i; k < S::lanes; ++k) row.score[i + k] = 0.0F;
        mass = S::add(mass, S::load(row.score + i));
    }
    float lane[S::lanes];
    S::store(lane, exponential<S>(S::set(row.top - top)));
    float fade = begin == 0 ? 0.0F : lane[0];
    row.mass = row.mass * fade + S::sum(mass);
    row.top = top;
    for (int d = 0; d < padded_dim; d += S::lanes)
        S::store(row.value + d, S::mul(S::load(row.value + d), S::set(fade)));
}

// Adds `count` weighted values of one page, `vectors` registers of each from dim `from` on.
template <class S, int rows, int vectors>
inline void add_values(QueryRow* row, const std::uint16_t* values, int padded_dim, int from, int at,
                       int count) {
    using F = typename S::F;
    F sum[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sum[r][v] = S::load(row[r].value + from + v * S::lanes);
    values += from;
    for (int i = 0; i < count; ++i, values += padded_dim) {
        F value[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) value[v] = S::load_half(values + v * S::lanes);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            F weight = S::set(row[r].score[at + i]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sum[r][v] = S::fma(weight, value[v], sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) S::store(row[r].value + from + v * S::lanes, sum[r][v]);
}

template <class S, int rows>
inline void attend_rows(const AttentionArguments& a, QueryRow* row, int limit) {
    const int padded = padded_head_dim(a.head_dim);
    constexpr int wide = S::value_vectors * S::lanes;
    for (int begin = 0; begin < limit; begin += run_positions) {
        int end = begin + run_positions < limit ? begin + run_positions : limit;
        for (int at = begin; at < end; at += page_positions) {
            auto page = static_cast<std::size_t>(a.pages[at / page_positions]);
            score_page<S, rows>(row, a.keys + page * a.page_stride, a.head_dim, at - begin);
        }
        for (int r = 0; r < rows; ++r) weigh_run<S>(row[r], begin, padded);
        for (int at = begin; at < end; at += page_positions) {
            auto page = static_cast<std::size_t>(a.pages[at / page_positions]);
            const std::uint16_t* values = a.values + page * a.page_stride;
            int count = end - at < page_positions ? end - at : page_positions;
            int from = 0;
            for (; from + wide <= padded; from += wide)
                add_values<S, rows, S::value_vectors>(row, values, padded, from, at - begin, count);
            for (; from < padded; from += S::lanes)
                add_values<S, rows, 1>(row, values, padded, from, at - begin, count);
        }
    }
    for (int r = 0; r < rows; ++r)
        for (int d = 0; d < a.head_dim; ++d) row[r].out[d] = row[r].value[d] / row[r].mass;
}

template <class S>
void attend_all(const AttentionArguments& a) {
    QueryRow row[S::attention_rows];
    const int total = a.tokens * a.heads;
    for (int first = 0; first < total; first += S::attention_rows) {
        int count = total - first < S::attention_rows ? total - first : S::attention_rows;
        int limit = 0;
        for (int r = 0; r < count; ++r) {
            int token = (first + r) / a.heads;
            auto head = static_cast<std::size_t>((first + r) % a.heads * a.head_dim);
            auto at = static_cast<std::size_t>(token);
            row[r].query = a.query + at * a.query_stride + head;
            row[r].out = a.out + at * a.out_stride + head;
            row[r].limit = a.position + token + 1;
            row[r].top = -__builtin_inff();
            row[r].mass = 0.0F;
            for (int d = 0; d < padded_head_dim(a.head_dim); ++d) row[r].value[d] = 0.0F;
            limit = row[r].limit;  // tokens are in order: the last row sees most
        }
        if (count >= 4) {
            if constexpr (S::attention_rows >= 4) attend_rows<S, 4>(a, row, limit);
        } else if (count == 3) {
            if constexpr (S::attention_rows >= 3) attend_rows<S, 3>(a, row, limit);
        } else if (count == 2) {
            if constexpr (S::attention_rows >= 2) attend_rows<S, 2>(a, row, limit);
        } else {
            attend_rows<S, 1>(a, row, limit);
        }
    }
}

template <class S>
constexpr Kernels kernels_of(std::string_view name) {
    return {name,         matmul_kernel<S>, quantise_row<S>,
            normalise<S>, multiply_silu<S>, rotate_pairs<S>,
            write_key<S>, write_value<S>,   attend_all<S>};
}

}  // namespace
}  // namespace sluice
