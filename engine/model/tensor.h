// A model's tensors: what type each has, how large it is and where its bytes are, whichever file
// they come from. Immutable once a file is open: any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice {

// Numbers are GGUF's (enum ggml_type), but for fp8_e4m3, which no GGUF holds.
enum class TensorType : std::uint32_t {
    f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q8_0 = 8, q4_k = 12, q5_k = 13, q6_k = 14, bf16 = 30,
    fp8_e4m3 = 1000,
};

std::string_view type_name(TensorType type);             // "q4_k"
int block_weights(TensorType type);                      // weights a block: 1, 32 or 256
int block_bytes(TensorType type);                        // bytes a block

struct Tensor {
    std::string_view name;  // GGUF's, whatever the file calls it: "blk.0.attn_q.weight"
    TensorType type = TensorType::f32;
    std::vector<std::int64_t> dims;  // dims[0] is contiguous: a matmul weight is [in, out]
    const std::uint8_t* data = nullptr;
    const float* row_scale = nullptr;  // fp8_e4m3: [rows], weight = scale * code
    std::int64_t bytes = 0;
    std::uint64_t file_offset = 0;   // for messages
    std::int64_t rows() const;       // product of dims[1..]
};

// Tensors in the order of the file, found by name. The names' bytes are somebody else's.
class TensorTable {
public:
    bool add(Tensor tensor);  // false, changing nothing, when the name is there already
    const Tensor* find(std::string_view name) const;  // nullptr when absent
    std::span<const Tensor> all() const { return tensors_; }
    std::span<Tensor> all() { return tensors_; }

private:
    std::vector<Tensor> tensors_;
    std::unordered_map<std::string_view, std::size_t> by_name_;
};

// "[4096, 1024]"
std::string shape_text(std::span<const std::int64_t> dims);

}  // namespace sluice
