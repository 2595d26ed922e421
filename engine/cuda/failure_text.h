// What a CudaFailure says: the words may reach a caller of the product, the place in our source is
// for the log alone. Any thread.
#pragma once

#include <string>

#include "engine/cuda/check.h"

namespace sluice::cuda {

struct FailureText {
    std::string words;
    std::string place;  // file:line; empty where the words say it all
};

inline FailureText text_of(const CudaFailure& failure) {
    const std::string text = failure.what();
    const std::size_t at = text.rfind(") at ");  // as check() puts it
    if (at == std::string::npos) return {text, ""};
    return {text.substr(0, at + 1), text.substr(at + 5)};
}

}  // namespace sluice::cuda
