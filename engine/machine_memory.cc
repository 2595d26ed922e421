#include "engine/machine_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace sluice {
namespace {

// "max", or a file that is not there, limits nothing.
void limit(std::int64_t& bytes, const std::string& path) {
    std::ifstream file(path);
    if (std::int64_t most = 0; file >> most && most > 0) bytes = std::min(bytes, most);
}

// Of the group and all above it, up to the root.
void limit_by_groups(std::int64_t& bytes, const std::string& root, std::string group,
                     const std::string& name) {
    for (;;) {
        limit(bytes, root + group + "/" + name);
        const std::size_t slash = group.rfind('/');
        if (slash == std::string::npos) return;
        group.resize(slash);
    }
}

}  // namespace

std::int64_t machine_memory(const std::string& cgroups, const std::string& self) {
    std::int64_t bytes = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
    limit(bytes, cgroups + "/memory.max");
    limit(bytes, cgroups + "/memory/memory.limit_in_bytes");
    // "0::/system.slice/sluice.service"; v1 has a line for each controller:
    // "9:memory:/docker/12ab".
    std::ifstream groups(self);
    for (std::string line; std::getline(groups, line);) {
        const std::size_t at = line.find(":/");
        if (at == std::string::npos) continue;
        const std::string group = line.substr(at + 1);
        if (line.starts_with("0::"))
            limit_by_groups(bytes, cgroups, group, "memory.max");
        else if (line.substr(0, at).ends_with(":memory"))
            limit_by_groups(bytes, cgroups + "/memory", group, "memory.limit_in_bytes");
    }
    return bytes;
}

}  // namespace sluice
