// What tests read beside their program: where it is, and that it is not here.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

namespace sluice {

// $SLUICE_SOURCE_DIR, or the tree that this was built from.
inline std::string in_source_tree(const std::string& path) {
    const char* given = std::getenv("SLUICE_SOURCE_DIR");
    return (given != nullptr ? std::string(given) : std::string(SLUICE_SOURCE_DIR)) + "/" + path;
}

// A warning; a failure where $SLUICE_NOTHING_MISSING is set, as by benchmarks/gpu_check.
inline void say_missing(const std::string& what) {
    if (std::getenv("SLUICE_NOTHING_MISSING") != nullptr) FAIL(what);
    WARN(what);
}

}  // namespace sluice
