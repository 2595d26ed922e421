// Which path is served by what. /v1/* speaks the clients' dialects; /healthz, /readyz and
// /metrics are for operators and need no key: keep them off the public side of your load balancer.
// /admin/policy and /admin/router need an administrator's key.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "gateway/chat.h"

namespace sluice {

net::awaitable<void> serve_request(Gateway& gateway, Seat& seat, const HttpRequest& http,
                                   Reply& reply);

}  // namespace sluice
