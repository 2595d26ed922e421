// Where learning touches the walk of a request: the classifier's odds corrected by what was
// learned, and the answer remembered with what is known of it at once.
#pragma once

#include "gateway/chat.h"
#include "gateway/learning/kept_answer.h"
#include "gateway/walk.h"

namespace sluice {

// Of a tier, 0 the weakest .. 1 the strongest: the policy's, or by its place.
double strength_of(const Policy& policy, std::string_view name);

// Sets walk.difficulty.
void classify_request(const Gateway& gateway, Walk& walk);

// To be given each piece of the answer: keeps of it what the two below look into.
KeptAnswer kept_for(const Gateway& gateway, const Walk& walk);

// After an answer that ended well, before its last byte goes out.
void remember_answer(Gateway& gateway, Seat& seat, Walk& walk, const Delta& last,
                     const KeptAnswer& kept);

// After the answer has gone out.
void answer_in_shadow(Gateway& gateway, Seat& seat, const Walk& walk, const std::string& text);

}  // namespace sluice
