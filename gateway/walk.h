// What one request gathers on its way down serve_chat; read by the steps after. One io thread.
#pragma once

#include <vector>

#include "gateway/fleet.h"
#include "gateway/reply.h"
#include "providers/dialect.h"

namespace sluice {

struct Walk {
    Walk(SnapshotPtr snapshot_in, const Dialect& dialect_in, const HttpRequest& http_in)
        : snapshot(std::move(snapshot_in)), dialect(dialect_in), http(http_in) {}

    SnapshotPtr snapshot;
    const Policy* policy = &snapshot->config->policy;  // which decides: live, or its canary
    const Dialect& dialect;
    const HttpRequest& http;
    Clock::time_point arrived = Clock::now();
    Caller caller;
    Labels labels;
    ChatRequest chat;
    Difficulty difficulty;
    std::int64_t input_tokens = 0;   // estimate
    Route route;                     // empty until it is chosen
    const Budget* budget = nullptr;  // the caller's tightest one
    Hold hold;                       // of what this request may cost
    std::vector<Tried> tried;        // every attempt that has ended, the answering one last
};

}  // namespace sluice
