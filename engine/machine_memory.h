// How much memory this process may take. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// Bytes: the machine's, or the least limit of the process's control group and those above it
// (cgroup v2's memory.max, v1's memory.limit_in_bytes), as far as they are to be seen under
// `cgroups`: in a container its own alone. `self`: the process's groups as /proc has them.
std::int64_t machine_memory(const std::string& cgroups = "/sys/fs/cgroup",
                            const std::string& self = "/proc/self/cgroup");

}  // namespace sluice
