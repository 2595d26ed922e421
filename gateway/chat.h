// The walk of one request: start reading here. Each step takes values and returns a value; data
// moves down and never back up. Every client dialect enters at read_request and shares the rest.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "gateway/budgets.h"
#include "gateway/day_pace.h"
#include "gateway/draws.h"
#include "gateway/fleet.h"
#include "gateway/learning/published.h"
#include "gateway/ledger.h"
#include "gateway/metrics.h"
#include "gateway/reply.h"
#include "gateway/sessions.h"
#include "providers/dialect.h"

namespace sluice {

class Learning;  // gateway/learning/learning.h

// What all requests share. Lives as long as the server.
struct Gateway {
    Fleet& fleet;
    Ledger& ledger;
    Metrics& metrics;
    Budgets budgets;
    Sessions sessions;
    DayPace pace;
    Learning* learning = nullptr;  // where the configuration has it
    Draws draws;
    Published<std::vector<std::string>> policy_damage;  // of what is kept, when last looked at
};

// Answers one chat request in the client's dialect, on the connection's io thread.
net::awaitable<void> serve_chat(Gateway& gateway, Seat& seat, const Dialect& dialect,
                                const HttpRequest& http, Reply& reply);

}  // namespace sluice
