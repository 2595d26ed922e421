// How much memory this process may take. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// Bytes: the machine's, or the limit of the process's control group where that is less (cgroup v2's
// memory.max, v1's memory.limit_in_bytes, as a container sees them under `cgroups`).
std::int64_t machine_memory(const std::string& cgroups = "/sys/fs/cgroup");

}  // namespace sluice
