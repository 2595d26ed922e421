// A network's weights on the device, in one piece of memory, repacked as they arrive: the file is
// read into pinned memory by several threads while the piece before it crosses the bus and the one
// before that is repacked.
#pragma once

#include <vector>

#include "engine/cuda/matrix.h"
#include "engine/cuda/memory.h"
#include "engine/model/network.h"

namespace sluice::cuda {

struct LayerOnDevice {
    const float* attention_norm = nullptr;  // [H]
    Matrix query, key, value;               // Q and K heads rotate pairs (i, i + rope_dims / 2)
    const float* bias = nullptr;            // [(Q + 2 K) D]; nullptr when there is none
    Matrix attention_output;
    const float* ffn_norm = nullptr;  // [H]
    Matrix gate, up, down;
};

struct WeightsOnDevice {
    TensorType embedding_type = TensorType::f32;
    const std::uint8_t* embedding = nullptr;  // the file's own blocks
    const float* output_norm = nullptr;       // [H]
    Matrix output;                            // [V, H]
    std::vector<LayerOnDevice> layers;
    DeviceMemory memory;
    std::int64_t bytes = 0;           // of `memory`
    std::int64_t bytes_streamed = 0;  // what one token's step reads: all but the embedding
};

// What a tensor of the file becomes; f32 is rounded to bf16 while it is read.
WeightFormat format_of(TensorType type);

// A tensor without data (shape_file.h) is filled with random weights. Errors: bad_file;
// bad_config, when the device has too little memory, with the numbers.
Result<WeightsOnDevice> load_weights(const ModelFile& file, const NetworkDescription& network,
                                     cudaStream_t stream);

}  // namespace sluice::cuda
