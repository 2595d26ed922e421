// Where the starter model is: $SLUICE_MODEL, or models/ in the source tree. Tests that need it are
// skipped, with a warning, on a machine that has not fetched it (deploy/get-model smollm2-135m).
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "tests/engine/source_tree.h"

namespace sluice {

inline std::optional<std::string> starter_model() {
    const char* given = std::getenv("SLUICE_MODEL");
    std::string path =
        given != nullptr ? given : in_source_tree("models/smollm2-135m-instruct-q4_1.gguf");
    if (!std::filesystem::exists(path)) return std::nullopt;
    return path;
}

}  // namespace sluice
