// What one request gathers on its way down serve_chat; read by the steps after. One io thread.
#pragma once

#include <memory>
#include <vector>

#include "gateway/draws.h"
#include "gateway/fleet.h"
#include "gateway/reply.h"
#include "providers/dialect.h"

namespace sluice {

struct Answered;  // gateway/learning/recent.h

struct Walk {
    Walk(SnapshotPtr snapshot_in, const Dialect& dialect_in, const HttpRequest& http_in);
    ~Walk();

    // Confined, or of the class `restricted`: never shown to others, and of its words nothing kept.
    bool data_stays() const;

    SnapshotPtr snapshot;
    const Policy* policy = &snapshot->config->policy;  // which decides: live, or its canary
    const Dialect& dialect;
    const HttpRequest& http;
    Clock::time_point arrived = Clock::now();
    Caller caller;
    Labels labels;
    RequestDraws draws;
    bool beside_counted = false;  // what a candidate in the shadow chose
    ChatRequest chat;
    Difficulty difficulty;
    std::unique_ptr<Answered> answer;  // where the gateway learns: what it needs for that
    std::int64_t input_tokens = 0;     // estimate
    Route route;                       // empty until it is chosen
    const Budget* budget = nullptr;    // the caller's tightest one
    Hold hold;                         // of what this request may cost
    std::vector<Tried> tried;          // every attempt that has ended, the answering one last
};

}  // namespace sluice
