// Which path is served by what. /v1/* speaks the clients' dialects; /healthz, /readyz, /metrics
// and /admin/policy are for operators and need no key: keep them off the public side of your load
// balancer. /admin/router, which changes what decides, needs an administrator's key.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "gateway/chat.h"

namespace sluice {

net::awaitable<void> serve_request(Gateway& gateway, Seat& seat, const HttpRequest& http,
                                   Reply& reply);

}  // namespace sluice
