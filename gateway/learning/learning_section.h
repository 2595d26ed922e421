// The configuration's section `learning`.
#pragma once

#include <string>

#include "providers/yaml_cursor.h"

namespace sluice {

struct Config;

struct LearningSection {
    std::string state_file;  // what was learned; made where there is none
    int remember = 16'384;   // answers whose outcome may still become known
    bool operator==(const LearningSection&) const = default;
};

void read_learning_section(Cursor& root, Config& config);

}  // namespace sluice
