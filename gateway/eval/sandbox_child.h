// The child's half of sandbox.cc: from the new name spaces to the program. It runs after a raw
// clone of a process with many threads: system calls only, no allocation, nothing that takes a
// lock.
#pragma once

#include <string>

namespace sluice {

// All that the child needs, made ready before.
struct SandboxChild {
    const char* const* command = nullptr;  // ends in nullptr
    const char* file = nullptr;            // under /tmp: its folder's name before pivoting
    const char* content = nullptr;
    std::size_t content_bytes = 0;
    const char* uid_map = nullptr;
    const char* gid_map = nullptr;
    int input = -1, output = -1;  // descriptors
    int failed = -1;              // where a step's name is written when the kernel refuses it
    int cpu_seconds = 1;
};

[[noreturn]] void become_program(const SandboxChild& child);

}  // namespace sluice
