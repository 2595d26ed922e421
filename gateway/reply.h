// What a request looks like to the code that serves it, and the way its answer goes out.
// One io thread: the connection's. Implemented by gateway/connection.cc.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "gateway/delta_stream.h"

namespace sluice {

struct HttpRequest {
    std::string method;
    std::string path;  // decoded, without the query
    std::string query;
    std::vector<std::pair<std::string, std::string>> headers;  // names lower-case
    std::string body;
    std::string request_id;  // ours, req_...; goes out as x-request-id
    bool from_loopback = false;

    // The first header of that lower-case name, or "".
    std::string_view header(std::string_view name) const;
};

using Headers = std::vector<std::pair<std::string_view, std::string>>;

class Reply {
public:
    virtual ~Reply() = default;

    // A whole answer. False when the client is gone.
    virtual net::awaitable<bool> send(int status, std::string_view content_type,
                                      const Headers& headers, const std::string& body) = 0;
    // A streamed answer: begin once, write each piece (sent at once, one chunk each), end.
    virtual net::awaitable<bool> begin_stream(int status, std::string_view content_type,
                                              const Headers& headers) = 0;
    virtual net::awaitable<bool> write(const std::string& bytes) = 0;
    virtual net::awaitable<bool> end_stream() = 0;

    virtual bool begun() const = 0;  // some byte of the answer has gone out
    virtual int status() const = 0;  // sent so far; 0 = none
    virtual Stop& stop() = 0;        // requested when the client leaves
};

// Serves one request by answering through the Reply. Called on the connection's io thread.
using Serve = std::function<net::awaitable<void>(const HttpRequest&, Reply&)>;

}  // namespace sluice
