// HTTP/1.1 and 1.0 request heads: from bytes to an HttpRequest and the facts its framing needs.
// Pure. Strict where leniency lets two parsers disagree about where a request ends: bare LF, folded
// lines, spaces before a colon, repeated or conflicting lengths are refused (RFC 9112 sections
// 2-6).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/result.h"
#include "gateway/reply.h"

namespace sluice {

struct RequestHead {
    bool http_1_0 = false;
    bool keep_alive = true;
    bool chunked = false;
    std::size_t content_length = 0;
    bool expects_continue = false;  // Expect: 100-continue
    bool bad_expectation = false;   // any other Expect
    bool forwarded = false;         // a proxy says that the peer is not the client
};

// Bytes of the head at the front of `bytes`, its empty line included; 0 = it is not all there.
// `scanned` is where the last look ended: keep it between calls, 0 at a new request.
// Errors: invalid_request as soon as the bytes cannot become a head.
Result<std::size_t> head_bytes(std::string_view bytes, std::size_t& scanned);

// Reads a whole head (as measured by head_bytes) into method, path, query and headers of `request`.
// Errors: invalid_request, method_not_allowed (CONNECT), request_too_large (too many headers).
Result<RequestHead> read_head(std::string_view head, HttpRequest& request);

constexpr std::size_t headers_count_max = 128;

}  // namespace sluice
