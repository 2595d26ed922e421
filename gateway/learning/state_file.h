// A small file that is read whole and replaced whole: it is either the old one or the new one,
// also when the process or the machine dies. Blocking; main's thread.
#pragma once

#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

// Empty where there is none. Errors: bad_file (cannot be read, more than 16 MiB).
Result<std::string> read_state_file(const std::string& path);
// Makes its folder. `mode`: who may read it. Errors: bad_file with the system's words.
Status write_state_file(const std::string& path, std::string_view bytes, unsigned mode = 0600);

}  // namespace sluice
