// Whether a user's turn only agrees or asks to go on ("yes", "ok, go on please", "weiter") and so
// has nothing of its own to be judged by. Reads at most 96 bytes; allocates nothing. Pure.
#pragma once

#include "providers/chat.h"

namespace sluice {

// True where every word is one of agreeing, thanking or going on, or there are at most three words,
// none of them a number, a question's, code or the name of a task. A turn with an image, a file or
// a question mark is never bare; an empty one is.
bool is_bare_turn(const Message& turn);

}  // namespace sluice
