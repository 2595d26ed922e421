// What the kernels of prefill attention share.
#pragma once

#include "engine/cuda/attention.cuh"

namespace sluice::cuda {

struct Prefill {
    const bf16* query;
    void* out;
    bool out_bf16;
    int arranged_rows;  // of an out as arranged.h has it; 0: plain rows
    KvLayer kv;
    StepTables tables;
    const Tile* tiles;
    int query_heads;
    int group;
};

// On compute capability 9.0, for bf16 keys and values of 128.
bool attend_warpgroup_takes(const KvCache& kv);
void attend_warpgroup(const Prefill& in, int tile_count, cudaStream_t stream);

}  // namespace sluice::cuda
