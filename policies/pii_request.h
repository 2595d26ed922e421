// Where in a request personal data (pii.h) is looked for: in all of its words, since whoever is
// sent it is sent all of them. Of JSON (a tool call's arguments, a tool's or an answer's schema,
// what is passed on unread) the texts are looked at as they read without their escapes; of an
// image, an audio or a file its address (%40 and the like read, too) and its name, not what is in
// it.
//
// Not seen: what is escaped twice, as JSON within a text of JSON, and encodings such as base64.
// Pure; allocates for what has escapes only.
#pragma once

#include "policies/pii.h"
#include "providers/chat.h"

namespace sluice {

// Which of the `wanted` kinds the request has. Stops early when all are found.
PiiSet find_pii(const ChatRequest& request, PiiSet wanted);

}  // namespace sluice
