// Where learning touches the walk of a request: the classifier's odds corrected by what was
// learned, and the answer remembered with what is known of it at once.
#pragma once

#include "gateway/chat.h"
#include "gateway/walk.h"

namespace sluice {

// Sets walk.difficulty.
void classify_request(const Gateway& gateway, Walk& walk);

// After an answer that ended well, before its last byte goes out.
void remember_answer(Gateway& gateway, Seat& seat, Walk& walk, const Delta& last);

}  // namespace sluice
