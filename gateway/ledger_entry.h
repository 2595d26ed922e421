// What the ledger keeps, and how it is kept.
#pragma once

#include <cstdint>
#include <string>

#include "policies/decision_record.h"
#include "providers/caller.h"
#include "providers/usage.h"

namespace sluice {

// One settled attempt. Appended, never edited.
struct LedgerEntry {
    std::int64_t started_unix_ms = 0;
    std::string request_id;
    int attempt = 1;        // from 1, in order
    bool answered = false;  // this attempt's answer went to the client
    Caller caller;
    std::string session_id;
    std::string dialect;  // the client's
    std::string model_asked;
    std::string tier;
    std::string upstream;
    std::string vendor;
    std::string model;  // the upstream's
    std::string rule;
    std::string policy_version;
    double difficulty = 0;
    bool stream = false;
    std::string outcome;  // "ok", or errc_name of what ended it: "cancelled", "timed_out", ...
    int http_status = 0;  // what the client was sent; 0 for an attempt that was not answered
    Usage usage;
    Money cost;
    Money baseline;  // same tokens at the baseline tier's price; 0 on unanswered attempts
    std::int64_t first_token_us = 0;  // from the request's arrival; 0 = none
    std::int64_t duration_us = 0;     // of the attempt
    bool simulated = false;
    RecordBytes decision;  // on a request's first attempt: what replay needs
};

// What became known of an answered request: a person's or a program's word, or a sign of its own
// such as an answer that does not fit its schema. Appended, never edited, never with a text.
struct Outcome {
    std::int64_t at_unix_ms = 0;
    std::string request_id;
    Caller caller;  // of the request; only its org, team and key are kept
    std::string tier;
    std::string kind;       // "thumb", "score", "label", "schema", "tool_call", ...
    double score = 0;       // 0 wrong .. 1 right
    double propensity = 1;  // of the tier that answered
    bool learned = false;   // the router learned from it
};

struct LedgerOptions {
    std::string url;  // sqlite:PATH
    int queue_entries_max = 65'536;
    int commit_rows_max = 1'024;
    int append_wait_ms_max = 5'000;  // then append() gives Errc::overloaded; the rows stay queued
};

}  // namespace sluice
