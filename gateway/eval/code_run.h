// Whether an answer's code does what its case asks: it is run apart (sandbox.h), with the team's
// own tests behind it. Blocks for as long as the case allows.
#pragma once

#include "policies/golden/score.h"

namespace sluice {

// Errors: of the sandbox; then nothing is known of the answer.
Result<Score> score_code(const CodeScorer& scorer, std::string_view answer);

// Whether this system can run code apart at all. Errors: unsupported_parameter with the reason.
Status code_can_run();

}  // namespace sluice
