// `sluice classify`: requests in, what the classifier and the bands of a policy say of each out.
#pragma once

#include <istream>
#include <ostream>

#include "engine/result.h"
#include "policies/classifier.h"
#include "policies/correction.h"
#include "policies/policy.h"

namespace sluice {

// Reads lines {"id","prompt"} or {"id","messages"} (OpenAI chat), writes lines {"id","difficulty",
// "gain","tier","expected_output_tokens","features"} in the same order; blank lines are passed
// over. "tier" is that of the policy's difficulty bands alone: rules need a caller. `learned`: what
// a gateway corrects the classifier by; null: nothing.
// Errors: invalid_request naming the first line that is wrong; all before it are written.
Status classify_lines(const Classifier& classifier, const Policy& policy, std::istream& in,
                      std::ostream& out, const OnlineWeights* learned = nullptr);

// One user turn, as a request to `auto`.
ChatRequest request_of(std::string_view prompt);

}  // namespace sluice
