// Chooses the next token from one row of logits, and reads the signals the router wants from it.
//
// Order, as vLLM applies it, so that one request means the same on the local tier and on hosted
// open models: logit_bias, repetition penalty, frequency and presence penalties, temperature,
// min_p, top_k, top_p (over the mass that top_k and min_p left), then the draw. Temperature 0 is
// the argmax after bias and penalties, the lowest id on ties. Signals and logprobs come from the
// raw logits at temperature 1, before any of this.
//
// Threads: any, several at once (scratch is thread_local; it grows once to the vocabulary's size,
// after that a token costs no allocation but its top_logprobs). Time: a few linear passes over
// the row; sorting touches only the tokens that top_k or top_p keep.
#pragma once

#include <span>

#include "engine/device.h"

namespace sluice {

// Reads sampling, history, prompt_tokens, draw and slot of `sequence`; overwrites `logits`. The
// result has .failed set when a logit is NaN or +inf or none is finite.
Sampled sample(std::span<float> logits, const StepSequence& sequence);

// The values a caller may ask for. Errors: invalid_request, naming the field and its range.
Status check_sampling(const Sampling& sampling, int vocab_size);

}  // namespace sluice
