// The configuration's section `learning`.
#pragma once

#include <string>

namespace sluice {

struct LearningSection {
    std::string state_file;  // what was learned; made where there is none
    int remember = 16'384;   // answers whose outcome may still become known
    bool operator==(const LearningSection&) const = default;
};

}  // namespace sluice
