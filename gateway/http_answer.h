// The head of an HTTP/1.1 answer, formatted. Pure but for the clock that the Date header reads.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/reply.h"

namespace sluice {

struct AnswerFraming {
    std::optional<std::size_t> content_length;
    bool chunked = false;     // without either, the end of the connection ends the body
    bool close = false;       // Connection: close
    bool keep_alive = false;  // Connection: keep-alive, for HTTP/1.0 clients that asked
};

// Appends the head, its empty line included. Control characters in values become spaces.
void append_answer_head(std::string& out, int status, std::string_view content_type,
                        const Headers& headers, std::string_view request_id,
                        const AnswerFraming& framing);

std::string_view reason_phrase(int status);

}  // namespace sluice
