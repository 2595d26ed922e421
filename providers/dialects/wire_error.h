// An upstream's refusal as it comes over any wire, and which Errc it is. Used by the dialects only.
#pragma once

#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

// Whatever of it is there.
struct WireError {
    std::string message;
    std::string type;
    std::string param;
    std::string code;
};

// A refusal with an HTTP status of 400 or more.
Error refusal(int status, const WireError& wire);
// One that came inside an answer that had begun well, where there is no status to go by.
Error failure_inside(const WireError& wire);
// An answer that cannot be read; `error` says why.
Error malformed_answer(const Error& error);

}  // namespace sluice
