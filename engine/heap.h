// The allocator's part in how much memory the process holds.
#pragma once

namespace sluice {

// Gives what the heap holds but nobody uses back to the system. For after work that took much of
// it once, as opening a model does: the allocator by itself keeps it for ten seconds and longer.
// Costs milliseconds. Does nothing where the program is linked without jemalloc.
void give_back_free_memory();

}  // namespace sluice
