// What goes out beside the answer's own text: headers, ids, the final usage's extras, refusals;
// and what comes in beside the body: credential and labels.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "gateway/reply.h"
#include "gateway/walk.h"

namespace sluice {

// Authorization, or x-api-key as Anthropic's clients send it.
std::string_view credential_of(const HttpRequest& http);

// The x-sluice-* request headers, and those that the policy's rules may match. Errors:
// invalid_request naming the header and its form.
Result<Labels> read_labels(const HttpRequest& http, const Policy& policy);

// x-sluice-explain: 1, the caller wants the reasons in a header of the same name.
bool explain_asked(const HttpRequest& http);

AnswerHead head_of(const Walk& walk, const Delta& first);
// The cost of all attempts; tier and upstream of the last one, which answered.
AnswerTail tail_of(const Walk& walk);

// x-sluice-* of a whole answer, whose attempts have all ended.
Headers answer_headers(const Walk& walk, const std::string& model);
// The same for a stream that begins: `open` is under way, its cost an estimate.
Headers answer_headers(const Walk& walk, const std::string& model, const Tried& open);

// The error in the client's dialect, with the headers known by now; nothing when the answer has
// begun or the client left.
net::awaitable<void> send_error(Reply& reply, const Walk& walk, const Error& error);

}  // namespace sluice
