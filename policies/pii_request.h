// Where in a request personal data (pii.h) is looked for: in all that an upstream is sent, however
// long: texts, earlier thoughts, names and ids, tools, schemas, what is passed on unread. Each is
// looked at as it stands and as it reads with its escapes off (pii_escapes.h), up to three layers
// of them, as in JSON within a text of JSON; a message's text parts one by one and as one text. Of
// an image, an audio or a file all is looked at but the base64 that it holds, and that, too, where
// it begins as a text.
//
// Not seen: what is in an image, a sound, a PDF or any file that does not begin as a text in UTF-8;
// base64 and other encodings within a text; a number split over several messages; '+' for a space.
// Pure; allocates only for what has escapes, for several text parts and for texts in base64.
#pragma once

#include "policies/pii.h"
#include "providers/chat.h"

namespace sluice {

// Which of the `wanted` kinds the request has. Stops early when all are found.
PiiSet find_pii(const ChatRequest& request, PiiSet wanted);

}  // namespace sluice
