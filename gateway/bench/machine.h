// What a bench says beside its figures.
#pragma once

#include <string>

namespace sluice::bench {

std::string machine();  // processor, cores, kernel
std::string today();    // UTC, 2026-11-22

}  // namespace sluice::bench
