// The one table from Errc to HTTP status, the dialects' words, and whether another attempt may
// help.
#pragma once

#include <string_view>

#include "engine/result.h"

namespace sluice {

struct ErrorRow {
    int status;                       // HTTP
    std::string_view openai_type;     // error.type
    std::string_view openai_code;     // error.code; "" = null
    std::string_view anthropic_type;  // error.type
    bool another_attempt_may_help;    // before the first answer byte
};

const ErrorRow& error_row(Errc code);
std::string_view errc_name(Errc code);  // "upstream_failed", for logs, metrics and the ledger

}  // namespace sluice
