// What the learning router answers over HTTP.
//
// POST /v1/feedback {"request_id": "...", "thumb": "up" | "down"}, or "score": 0 .. 1, or "label":
// "right" | "partly" | "wrong": a caller's word on an answer that its team was given. The first
// word counts; the same again is no error. Answers that are no longer remembered, and other teams',
// are not found.
//
// For keys with `admin: true`: GET /admin/router (what was learned), GET /admin/router/export,
// POST /admin/router/import, POST /admin/router/rollback[?to=shipped].
#pragma once

#include <boost/asio/awaitable.hpp>

#include "gateway/chat.h"

namespace sluice {

bool learning_path(const HttpRequest& http);
net::awaitable<void> serve_learning(Gateway& gateway, Seat& seat, const HttpRequest& http,
                                    Reply& reply);

}  // namespace sluice
