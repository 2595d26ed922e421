// Names and block layouts of the tensor types. Source: ggml-org/ggml src/ggml-common.h.
#include "engine/model/tensor.h"

#include <utility>

namespace sluice {
namespace {

struct TypeFacts {
    std::string_view name;
    int weights;  // 0: not a type that is supported
    int bytes;
};

TypeFacts facts(TensorType type) {
    switch (type) {
        case TensorType::f32:
            return {"f32", 1, 4};
        case TensorType::f16:
            return {"f16", 1, 2};
        case TensorType::bf16:
            return {"bf16", 1, 2};
        case TensorType::fp8_e4m3:
            return {"fp8_e4m3", 1, 1};
        case TensorType::q4_0:
            return {"q4_0", 32, 18};
        case TensorType::q4_1:
            return {"q4_1", 32, 20};
        case TensorType::q8_0:
            return {"q8_0", 32, 34};
        case TensorType::q4_k:
            return {"q4_k", 256, 144};
        case TensorType::q5_k:
            return {"q5_k", 256, 176};
        case TensorType::q6_k:
            return {"q6_k", 256, 210};
    }
    return {"unsupported", 0, 0};
}

}  // namespace

std::string_view type_name(TensorType type) { return facts(type).name; }
int block_weights(TensorType type) { return facts(type).weights; }
int block_bytes(TensorType type) { return facts(type).bytes; }

std::int64_t Tensor::rows() const {
    std::int64_t rows = 1;
    for (std::size_t i = 1; i < dims.size(); ++i) rows *= dims[i];
    return rows;
}

bool TensorTable::add(Tensor tensor) {
    if (!by_name_.emplace(tensor.name, tensors_.size()).second) return false;
    tensors_.push_back(std::move(tensor));
    return true;
}

const Tensor* TensorTable::find(std::string_view name) const {
    auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

std::string shape_text(std::span<const std::int64_t> dims) {
    std::string text = "[";
    for (std::int64_t dim : dims) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
    return text + "]";
}

}  // namespace sluice
