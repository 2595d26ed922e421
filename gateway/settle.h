// The end of every request: its attempts become ledger rows and counts, also those that failed,
// were aborted or were not answered. Committed before the client's last byte.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "gateway/chat.h"
#include "gateway/walk.h"

namespace sluice {

// Ends the answering attempt: its usage, its clocks, and the error that cut it, if one did.
void close_attempt(Tried& tried, const Delta& last, const Error* cut);

// One ledger row an attempt in walk.tried; the hold becomes the charge. Completes when they are
// committed; an error says that they are queued but not yet on record.
net::awaitable<Status> settle(Gateway& gateway, Walk& walk, int http_status);

// Settles what was tried, counts the refusal, and sends the error in the client's dialect.
net::awaitable<void> refuse(Gateway& gateway, Reply& reply, Walk& walk, const Error& error);

}  // namespace sluice
