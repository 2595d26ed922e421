#include "engine/cuda/products.h"

#include <algorithm>
#include <cassert>

#include "engine/cuda/embed.h"

namespace sluice::cuda {
namespace {

// Up to here reading quantised weights once per 64 tokens beats writing them out as f16.
constexpr int few_quantised = 256;
constexpr int few_plain = 16;

std::size_t widest_matrix(const WeightsOnDevice& weights) {
    std::size_t most = 0;
    for (const LayerOnDevice& layer : weights.layers)
        for (const Matrix* m : {&layer.query, &layer.key, &layer.value, &layer.attention_output,
                                &layer.gate, &layer.up, &layer.down})
            if (m->format != WeightFormat::bf16 && m->format != WeightFormat::f16)
                most = std::max(
                    most, static_cast<std::size_t>(m->rows) * static_cast<std::size_t>(m->columns));
    return most * sizeof(f16);
}

}  // namespace

Result<std::unique_ptr<Products>> Products::open(const WeightsOnDevice& weights, int tokens_max) {
    auto library = GemmLibrary::open();
    if (!library) return library.error();
    auto out = std::make_unique<Products>();
    out->library_ = *std::move(library);
    const auto rows = static_cast<std::size_t>(rows_of(tokens_max));
    const auto ffn = static_cast<std::size_t>(weights.layers.front().gate.rows);
    const std::size_t gate_up = rows * 2 * ffn * sizeof(f16);
    const std::size_t scratch = std::max<std::size_t>(widest_matrix(weights), 1);
    out->workspace_ = take_device_memory(matmul_workspace_bytes());
    out->scratch_ = take_device_memory(scratch);
    out->gate_up_ = take_device_memory(gate_up);
    if (!out->workspace_ || !out->scratch_ || !out->gate_up_)
        return Error(Errc::bad_config, "the GPU has no " +
                                           std::to_string((scratch + gate_up) >> 20) +
                                           " MiB left for the products of a step");
    check(cudaMemset(out->workspace_.get(), 0, matmul_workspace_bytes()));
    out->bytes_ = static_cast<std::int64_t>(scratch + gate_up + matmul_workspace_bytes());
    return out;
}

bool Products::few(WeightFormat format, int T) {
    const bool plain = format == WeightFormat::bf16 || format == WeightFormat::f16;
    return T <= (plain ? few_plain : few_quantised);
}

void Products::multiply(std::initializer_list<Product> products, const void* x, int T, void* out,
                        int out_stride, Into into, float scale, cudaStream_t stream) {
    const WeightFormat format = products.begin()->matrix.format;
    if (few(format, T)) return multiply_few(products, x, T, out, out_stride, into, scale, stream);
    if (into != Into::swiglu) {
        for (const Product& product : products)
            multiply_many(product, x, T, out, GemmType::f32, out_stride, into == Into::add, scale,
                          stream);
        return;
    }
    const int ffn = products.begin()->matrix.rows;
    const bool brain = reads_bf16(format);
    for (const Product& product : products) {
        Product half = product;
        half.out_column = &product == products.begin() ? 0 : ffn;
        multiply_many(half, x, T, gate_up_.get(), brain ? GemmType::bf16 : GemmType::f16, 2 * ffn,
                      false, brain ? scale : scale / swiglu_scale, stream);
    }
    if (brain)
        swiglu_bf16(static_cast<bf16*>(gate_up_.get()), static_cast<bf16*>(out), T, ffn, stream);
    else
        swiglu_f16(static_cast<f16*>(gate_up_.get()), static_cast<f16*>(out), T, ffn, stream);
}

void Products::multiply_few(std::initializer_list<Product> products, const void* x, int T,
                            void* out, int out_stride, Into into, float scale,
                            cudaStream_t stream) {
    const std::size_t out_bytes = into == Into::swiglu ? sizeof(f16) : sizeof(float);
    const auto columns = static_cast<std::size_t>(products.begin()->matrix.columns);
    for (int begin = 0; begin < T; begin += decode_tokens_max) {
        const auto row = static_cast<std::size_t>(begin);
        matmul_decode({products.begin(), products.size()},
                      static_cast<const f16*>(x) + row * columns,
                      std::min(T - begin, decode_tokens_max),
                      static_cast<std::uint8_t*>(out) +
                          row * static_cast<std::size_t>(out_stride) * out_bytes,
                      out_stride, into, scale, workspace_.get(), stream);
    }
}

void Products::multiply_many(const Product& product, const void* x, int T, void* out,
                             GemmType out_type, int out_stride, bool add, float scale,
                             cudaStream_t stream) {
    const Matrix& matrix = product.matrix;
    Gemm gemm;
    gemm.type = reads_bf16(matrix.format) ? GemmType::bf16 : GemmType::f16;
    gemm.out_type = out_type;
    gemm.rows = matrix.rows;
    gemm.columns = matrix.columns;
    gemm.T = rows_of(T);
    gemm.w = matrix.planes;
    if (matrix.format != WeightFormat::bf16 && matrix.format != WeightFormat::f16) {
        dequantise(matrix, 0, matrix.rows, static_cast<f16*>(scratch_.get()), stream);
        gemm.w = scratch_.get();
    }
    gemm.x = x;
    const std::size_t out_bytes = out_type == GemmType::f32 ? sizeof(float) : sizeof(f16);
    gemm.out =
        static_cast<std::uint8_t*>(out) + static_cast<std::size_t>(product.out_column) * out_bytes;
    gemm.out_stride = out_stride;
    gemm.alpha = scale;
    gemm.add = add;
    library_->run(gemm, stream);
}

}  // namespace sluice::cuda
