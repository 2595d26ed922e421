// How matmul_codes shares a product of two to eight tokens among blocks and warps. Plain numbers,
// so that what fits can be held for every model's shape where there is no GPU (test_codes_plan.cc).
#pragma once

#include <algorithm>

#include "engine/cuda/coded.h"

namespace sluice::cuda {

constexpr int segments_max = 8;

// As many segments, of `most` at most, as share the steps evenly: 5 of 20 steps, 6 of 108. Never of
// T: the segments decide the order of the sums.
constexpr int segments_for(int steps, int most) {
    int best = 1;
    int best_idle = segments_max * steps;
    for (int segments : {6, 5, 7, 8, 4, 3, 2, 1}) {
        if (segments > steps || segments > most) continue;
        const int idle = ((steps + segments - 1) / segments * segments - steps) * 1000 / steps;
        if (idle >= best_idle) continue;
        best = segments;
        best_idle = idle;
    }
    return best;
}

// How many parts the columns are cut into, so that a block can keep a part's activations.
constexpr int parts_for(int steps, int block_bytes) {
    const int most = std::max(block_bytes * 18 / 25 / (coded_tokens_max * coded_bytes), 1);
    return (steps + most - 1) / most;
}

// What a warp needs beside the activations, in bytes of shared memory, and how many a block may
// have.
struct CodesWarps {
    int most_bytes = 0;  // with the most tokens
    int bytes = 0;       // with this step's
    int tokens = 0;      // that the kernel reads
    int most = 0;
};

struct CodesPlan {
    int parts = 1;   // of the columns; a block takes one
    int splits = 1;  // of a part; a warp takes one
    int x_room = 0;  // bytes of the widest part's activations
    int teams = 0;   // of warps in a block; 0: does not fit
};

// `sides`: 2 for SwiGLU. Of T only x_room and teams.
constexpr CodesPlan plan_codes(int steps, int T, int sides, int block_bytes, CodesWarps warps) {
    CodesPlan plan;
    plan.parts = parts_for(steps, block_bytes);
    if (plan.parts > segments_max) return plan;
    const int part_steps = (steps + plan.parts - 1) / plan.parts;
    const int room = block_bytes - part_steps * coded_tokens_max * coded_bytes;
    const int fitting = std::clamp(room / (sides * warps.most_bytes), 1, segments_max / plan.parts);
    plan.splits = segments_for(part_steps, fitting);
    int widest = 0;
    const int segments = plan.parts * plan.splits;
    for (int part = 0; part < plan.parts; ++part)
        widest = std::max(widest, steps * ((part + 1) * plan.splits) / segments -
                                      steps * (part * plan.splits) / segments);
    // Tokens beyond T are read, too, and must not be what other warps write meanwhile.
    plan.x_room = (widest * T + warps.tokens - T) * coded_bytes;
    const int team = plan.splits * sides;
    plan.teams = std::min(warps.most / team, (block_bytes - plan.x_room) / (team * warps.bytes));
    return plan;
}

}  // namespace sluice::cuda
