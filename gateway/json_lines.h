// Flat JSON objects of texts, one a line: what small files of ours are made of. Main's thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/result.h"

namespace sluice {

// {"name":"text",...} and a line's end.
std::string json_line(const std::vector<std::pair<const char*, const std::string*>>& fields);

// Fills the fields, all of which must be there, and those of `newer` that are: files of an older
// version have none. `place` stands before what is wrong ("FILE:3"). Errors: bad_file.
Status read_json_line(const std::string& line, const std::string& place,
                      const std::vector<std::pair<const char*, std::string*>>& fields,
                      const std::vector<std::pair<const char*, std::string*>>& newer = {});

}  // namespace sluice
