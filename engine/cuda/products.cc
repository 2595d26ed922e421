#include "engine/cuda/products.h"

#include <algorithm>
#include <cassert>

#include "engine/cuda/coded.h"
#include "engine/cuda/embed.h"
#include "engine/cuda/fp8.h"
#include "engine/cuda/matmul_warpgroup.h"

namespace sluice::cuda {
namespace {

std::span<const Product> all_of(std::initializer_list<Product> products) {
    return {products.begin(), products.size()};
}

}  // namespace

Result<std::unique_ptr<Products>> Products::open(const WeightsOnDevice& weights, int tokens_max,
                                                 bool one_way) {
    auto out = std::make_unique<Products>();
    out->plan_ = plan_products(weights.layers, weights.output, this_card(), tokens_max, one_way);
    const ProductsPlan& plan = out->plan_;
    if (plan.library) {
        auto library = GemmLibrary::open();
        if (!library) return library.error();
        out->library_ = *std::move(library);
    }
    const std::size_t held = plan.library ? GemmLibrary::workspace_bytes : 0;
    std::size_t used = held;
    bool all = true;
    auto take = [&](DeviceMemory& memory, std::size_t bytes) {
        if (bytes == 0) return;
        memory = take_device_memory(bytes);
        if (memory) check(cudaMemset(memory.get(), 0, bytes));
        used += bytes;
        all = all && memory;
    };
    take(out->workspace_, matmul_workspace_bytes());
    take(out->warpgroup_workspace_, plan.warpgroups ? warpgroup_workspace_bytes() : 0);
    take(out->arranged_, plan.arranged_bytes);
    take(out->coded_, plan.coded_bytes);
    take(out->scratch_, plan.scratch_bytes);
    take(out->gate_up_, plan.gate_up_bytes);
    take(out->codes_, plan.fp8_codes_bytes);
    take(out->code_scale_, plan.fp8_scale_bytes);
    out->bytes_ = static_cast<std::int64_t>(used);
    if (!all)
        return Error(Errc::bad_config,
                     "the GPU has no " + std::to_string((used - held) >> 20) +
                         " MiB left for the products of a step of " + std::to_string(tokens_max) +
                         " tokens; lower prefill_tokens_max or sequences_max, or take a smaller "
                         "model or quantisation");
    return out;
}

// Other bits than the other ways give, so not where there is to be one way.
bool Products::take_coded(std::initializer_list<Product> products, int T) const {
    return way_of(plan_, all_of(products), T) == Way::codes;
}

// arrange() makes zeros of the columns beyond the row, which others leave as they were.
bool Products::take_arranged(std::initializer_list<Product> products, int T) const {
    return way_of(plan_, all_of(products), T) == Way::warpgroups &&
           whole_columns(products.begin()->matrix.columns);
}

void Products::multiply(std::initializer_list<Product> products, const void* x, int T, void* out,
                        int out_stride, Into into, float scale, Arranged arranged,
                        cudaStream_t stream) {
    const Way way = way_of(plan_, all_of(products), T);
    assert(way == Way::warpgroups || (!arranged.x && !arranged.out));
    assert(way == Way::codes || !arranged.coded);
    switch (way) {
        case Way::warpgroups:
            return multiply_warpgroup(products, x, T, out, out_stride, into, scale, arranged,
                                      stream);
        case Way::codes:
            return multiply_codes(products, x, T, out, out_stride, into, scale, arranged, stream);
        case Way::few:
            return multiply_few(products, x, T, out, out_stride, into, scale, arranged.ahead,
                                stream);
        case Way::library:
            return multiply_by_library(products, x, T, out, out_stride, into, scale, stream);
    }
}

void Products::multiply_codes(std::initializer_list<Product> products, const void* x, int T,
                              void* out, int out_stride, Into into, float scale,
                              const Arranged& arranged, cudaStream_t stream) {
    const bool plain = !arranged.coded && matmul_codes_reads_plain(all_of(products), T);
    if (!arranged.coded && !plain)
        code_activations(static_cast<const f16*>(x), T, products.begin()->matrix.columns, coded(),
                         stream);
    matmul_codes(all_of(products), {plain ? nullptr : coded(), x}, T, out, out_stride, into, scale,
                 workspace_.get(), arranged.ahead, stream);
}

void Products::multiply_by_library(std::initializer_list<Product> products, const void* x, int T,
                                   void* out, int out_stride, Into into, float scale,
                                   cudaStream_t stream) {
    const WeightFormat format = products.begin()->matrix.format;
    if (into != Into::swiglu) {
        if (format == WeightFormat::fp8_e4m3)
            return multiply_fp8(products, x, T, out, out_stride, into, scale, stream);
        return multiply_many(products, x, T, out, GemmType::f32, out_stride, into == Into::add,
                             scale, stream);
    }
    Product up = products.begin()[1];
    const int ffn = up.matrix.rows;
    up.out_column = ffn;
    if (format == WeightFormat::fp8_e4m3)
        return multiply_fp8({products.begin()[0], up}, x, T, out, out_stride, into, scale, stream);
    const bool brain = reads_bf16(format);
    multiply_many({products.begin()[0], up}, x, T, gate_up_.get(),
                  brain ? GemmType::bf16 : GemmType::f16, 2 * ffn, false,
                  brain ? scale : scale / swiglu_scale, stream);
    if (brain)
        swiglu_bf16(static_cast<bf16*>(gate_up_.get()), static_cast<bf16*>(out), T, ffn, stream);
    else
        swiglu_f16(static_cast<f16*>(gate_up_.get()), static_cast<f16*>(out), T, ffn, stream);
}

void Products::multiply_few(std::initializer_list<Product> products, const void* x, int T,
                            void* out, int out_stride, Into into, float scale, const Ahead& ahead,
                            cudaStream_t stream) {
    const std::size_t out_bytes = into == Into::swiglu ? sizeof(f16) : sizeof(float);
    const auto columns = static_cast<std::size_t>(products.begin()->matrix.columns);
    for (int begin = 0; begin < T; begin += decode_tokens_max) {
        const auto row = static_cast<std::size_t>(begin);
        matmul_decode(all_of(products), static_cast<const f16*>(x) + row * columns,
                      std::min(T - begin, decode_tokens_max),
                      static_cast<std::uint8_t*>(out) +
                          row * static_cast<std::size_t>(out_stride) * out_bytes,
                      out_stride, into, scale, workspace_.get(), ahead, stream);
    }
}

void Products::multiply_warpgroup(std::initializer_list<Product> products, const void* x, int T,
                                  void* out, int out_stride, Into into, float scale,
                                  Arranged arranged, cudaStream_t stream) {
    if (!arranged.x)
        arrange(static_cast<const f16*>(x), arranged_.get(), T, warpgroup_rows(T),
                products.begin()->matrix.columns, stream);
    matmul_warpgroup(all_of(products), arranged.x ? x : arranged_.get(), T, out, out_stride, into,
                     arranged.out, scale, warpgroup_workspace_.get(), arranged.ahead, stream);
}

// Quantised matrices are written out behind one another; neighbours in memory and in the output
// become one.
std::vector<Products::Joined> Products::join(std::initializer_list<Product> products,
                                             cudaStream_t stream) {
    std::vector<Joined> out;
    auto* scratch = static_cast<f16*>(scratch_.get());
    for (const Product& product : products) {
        const Matrix& matrix = product.matrix;
        Joined one{GemmType::f16, matrix.rows,      matrix.columns,
                   matrix.planes, matrix.row_scale, product.out_column};
        std::size_t value_bytes = sizeof(f16);
        if (reads_bf16(matrix.format)) one.type = GemmType::bf16;
        if (matrix.format == WeightFormat::fp8_e4m3) {
            one.type = GemmType::fp8_e4m3;
            value_bytes = 1;
        }
        if (quantised(matrix.format)) {
            dequantise(matrix, 0, matrix.rows, scratch, stream);
            one.w = scratch;
            scratch +=
                static_cast<std::size_t>(matrix.rows) * static_cast<std::size_t>(matrix.columns);
        }
        if (!out.empty()) {
            Joined& last = out.back();
            const auto* behind = static_cast<const std::uint8_t*>(last.w) +
                                 static_cast<std::size_t>(last.rows) *
                                     static_cast<std::size_t>(last.columns) * value_bytes;
            const bool scales = last.row_scale == nullptr
                                    ? one.row_scale == nullptr
                                    : one.row_scale == last.row_scale + last.rows;
            if (behind == one.w && scales && last.type == one.type &&
                last.out_column + last.rows == one.out_column) {
                last.rows += one.rows;
                continue;
            }
        }
        out.push_back(one);
    }
    return out;
}

void Products::multiply_many(std::initializer_list<Product> products, const void* x, int T,
                             void* out, GemmType out_type, int out_stride, bool add, float scale,
                             cudaStream_t stream) {
    const std::size_t out_bytes = out_type == GemmType::f32 ? sizeof(float) : sizeof(f16);
    for (const Joined& one : join(products, stream)) {
        Gemm gemm;
        gemm.type = one.type;
        gemm.out_type = out_type;
        gemm.rows = one.rows;
        gemm.columns = one.columns;
        gemm.T = rows_of(T);
        gemm.w = one.w;
        gemm.x = x;
        gemm.out =
            static_cast<std::uint8_t*>(out) + static_cast<std::size_t>(one.out_column) * out_bytes;
        gemm.out_stride = out_stride;
        gemm.alpha = scale;
        gemm.add = add;
        library_->run(gemm, stream);
    }
}

// As multiply_many, but the scales come after the product, and SwiGLU's output stays in codes_ for
// the product that reads it next: `out` is then its name and nothing is written there.
void Products::multiply_fp8(std::initializer_list<Product> products, const void* x, int T,
                            void* out, int out_stride, Into into, float scale,
                            cudaStream_t stream) {
    auto* codes = static_cast<std::uint8_t*>(codes_.get());
    auto* token_scale = static_cast<float*>(code_scale_.get());
    if (x != codes_of_)
        quantise_fp8(static_cast<const f16*>(x), codes, token_scale, scale, T,
                     products.begin()->matrix.columns, stream);
    codes_of_ = nullptr;
    for (const Joined& one : join(products, stream)) {
        Gemm gemm;
        gemm.type = GemmType::fp8_e4m3;
        gemm.out_type = into == Into::swiglu ? GemmType::f16 : GemmType::f32;
        gemm.rows = one.rows;
        gemm.columns = one.columns;
        gemm.T = rows_of(T);
        gemm.w = one.w;
        gemm.x = codes;
        gemm.out = into == Into::store ? static_cast<float*>(out) + one.out_column : gate_up_.get();
        gemm.out_stride = into == Into::store ? out_stride : one.rows;
        gemm.alpha = into == Into::swiglu ? gate_up_scale : 1.0F;
        library_->run(gemm, stream);
        if (into == Into::swiglu) {
            assert(one.rows == 2 * out_stride);  // gate and up lie behind one another
            swiglu_fp8(static_cast<const f16*>(gate_up_.get()), one.row_scale, token_scale, codes,
                       token_scale, T, out_stride, stream);
            codes_of_ = out;
            return;
        }
        auto* to = static_cast<float*>(out) + one.out_column;
        scale_rows(static_cast<const float*>(gemm.out), gemm.out_stride, to, out_stride,
                   into == Into::add, one.row_scale, token_scale, T, one.rows, stream);
    }
}

}  // namespace sluice::cuda
