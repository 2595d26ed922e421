// What decides in a gateway, read from its state's file or from an export: for tools that say what
// that gateway would do.
#pragma once

#include <string>

#include "policies/learner.h"

namespace sluice {

// The champion; of no weights where the shipped prior decides. Errors: bad_file, also where there
// is no such file, or it corrects another classifier than that of this version.
Result<LearnerModel> read_champion(const std::string& path, const std::string& classifier);

}  // namespace sluice
