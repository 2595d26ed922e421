#include "engine/heap.h"

#include <cstddef>

// jemalloc's, where it is linked.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_bytes, void* new_value,
                       std::size_t new_bytes) __attribute__((weak));

namespace sluice {

void give_back_free_memory() {
    if (mallctl == nullptr) return;
    // 4096 stands for all arenas. A refusal changes nothing.
    (void)mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
}

}  // namespace sluice
