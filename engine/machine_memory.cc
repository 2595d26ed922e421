#include "engine/machine_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace sluice {

std::int64_t machine_memory(const std::string& cgroups) {
    std::int64_t bytes = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
    for (const char* name : {"/memory.max", "/memory/memory.limit_in_bytes"}) {
        std::ifstream file(cgroups + name);
        // "max", or a file that is not there, limits nothing.
        if (std::int64_t limit = 0; file >> limit && limit > 0) bytes = std::min(bytes, limit);
    }
    return bytes;
}

}  // namespace sluice
