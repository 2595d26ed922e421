// What the device in use has that launches are made for.
#pragma once

namespace sluice::cuda {

struct Card {
    bool warpgroups = false;  // wgmma and bulk copies
    int processors = 0;
    int block_shared_bytes = 0;  // the most that a block may ask for
    int processor_shared_bytes = 0;
};

// The least block_shared_bytes of the cards that kernels are built for: of compute capability 8.6
// and 8.9.
constexpr int least_block_shared_bytes = 101376;

// Asked once: a process has one device.
const Card& this_card();

}  // namespace sluice::cuda
