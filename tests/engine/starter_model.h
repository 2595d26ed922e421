// Where the starter model is: $SLUICE_MODEL, or models/ in the source tree. Tests that need it are
// skipped, with a warning, on a machine that has not fetched it (deploy/get-model smollm2-135m).
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace sluice {

inline std::optional<std::string> starter_model() {
    const char* given = std::getenv("SLUICE_MODEL");
    std::string path =
        given != nullptr ? given : SLUICE_SOURCE_DIR "/models/smollm2-135m-instruct-q4_1.gguf";
    if (!std::filesystem::exists(path)) return std::nullopt;
    return path;
}

}  // namespace sluice
