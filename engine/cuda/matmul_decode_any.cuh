// The kernel of a product's shape: for few rows and tokens, or for all others.
#pragma once

#include "engine/cuda/matmul_decode_few.cuh"
#include "engine/cuda/matmul_decode_many.cuh"

namespace sluice::cuda {

template <WeightFormat first, WeightFormat second = first>
DecodeKernel decode_any(DecodeShape shape) {
    if (shape.few_rows) return decode_few<first, second>(shape);
    return decode_many<first, second>(shape);
}

}  // namespace sluice::cuda
