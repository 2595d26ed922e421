// A network's weights as the CPU kernels read them, in one piece of memory. While packing, the
// file's pages are let go again as soon as they are read, so that the weights are in memory once.
// Immutable once packed: any thread.
#pragma once

#include <vector>

#include "engine/cpu/compute_threads.h"
#include "engine/cpu/lazy_memory.h"
#include "engine/cpu/packed_matrix.h"
#include "engine/model/network.h"

namespace sluice {

struct PackedLayer {
    const float* attention_norm = nullptr;  // [H]
    PackedMatrix query;                     // Q and K heads rotate pairs (i, i + rope_dims / 2)
    PackedMatrix key;
    PackedMatrix value;
    const float* bias = nullptr;  // [(Q + 2 K) * D]: query, key, value; nullptr when there is none
    PackedMatrix attention_output;
    const float* ffn_norm = nullptr;  // [H]
    PackedMatrix gate;
    PackedMatrix up;
    PackedMatrix down;
};

struct PackedWeights {
    PackedMatrix embedding;
    const float* output_norm = nullptr;  // [H]
    PackedMatrix output;                 // the embedding again when tied
    std::vector<PackedLayer> layers;
    LazyMemory memory;  // what all of the above point into
};

// Errors: bad_config (no memory), bad_file.
Result<PackedWeights> pack_weights(const ModelFile& file, const NetworkDescription& network,
                                   ComputeThreads& threads);

}  // namespace sluice
