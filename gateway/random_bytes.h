// Random numbers that nobody can foretell: the kernel's, since what a processor has of its own is
// not asked. One way for keys, secrets and seeds.
#pragma once

#include <unistd.h>

#include <cstddef>

namespace sluice {

// At most 256 bytes. False, with errno set, where the system gives none.
inline bool random_bytes(void* out, std::size_t size) { return ::getentropy(out, size) == 0; }

}  // namespace sluice
