// What calls to upstreams have in common, however the bytes travel: plain_transport for http, on
// our own sockets, curl_transport for https. Bodies are pulled; a reader that does not read slows
// its upstream. One io thread; one transport a thread, destroyed before its io_context.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

namespace net = boost::asio;

// When a wait gives up, and which of an upstream's limits that is, for the error.
struct Deadline {
    std::chrono::steady_clock::time_point at;
    std::string_view name;  // first_token_ms; points to a literal
    int limit_ms = 0;
};

struct HttpCall {
    std::string url;
    std::string body;                  // POSTed
    std::vector<std::string> headers;  // "name: value", content-type among them
    int connect_ms = 5'000;            // name lookup, TCP and TLS together
    std::size_t answer_bytes_max = 0;  // 0 = no limit on the whole body
};

struct ResponseHead {
    int status = 0;
    std::string content_type;  // as sent
    int retry_after_ms = 0;    // from retry-after-ms or retry-after (seconds or a date)

    // Takes what a header says, if it is one of these; any case of the name.
    void read_field(std::string_view name, std::string_view value);
};

// One call being answered. Destroying it aborts the transfer and closes its connection (HTTP/1.1)
// or resets its stream (HTTP/2) at once. May outlive the transport; its waits then give cancelled.
class BodyStream {
public:
    virtual ~BodyStream() = default;
    BodyStream(const BodyStream&) = delete;
    BodyStream& operator=(const BodyStream&) = delete;

    // The status and headers, as soon as they are there. Errors: upstream_failed (cannot connect,
    // reset, TLS), timed_out (connecting, or the deadline), cancelled.
    virtual net::awaitable<Result<ResponseHead>> head(Deadline deadline) = 0;
    // Replaces `bytes` by what has arrived since the last call, at least one byte; empty at the end
    // of the body. The string's memory is used again: pass the same one. Errors as above, and
    // upstream_failed for a body that was cut short or is over its limit.
    virtual net::awaitable<Status> next(std::string& bytes, Deadline deadline) = 0;
    // Aborts the transfer and wakes the one who waits, with Errc::cancelled.
    virtual void cancel() = 0;
    // The request may have reached the upstream, so it may have begun to work.
    virtual bool sent() const = 0;

    // The answer is complete before its body is: the rest is read and dropped in the background,
    // for at most a second and 64 KiB, so that the connection can be used again.
    static void leave(std::unique_ptr<BodyStream> body) {
        BodyStream* stream = body.get();
        stream->go_on_alone(std::move(body));
    }

protected:
    BodyStream() = default;

private:
    virtual void go_on_alone(std::unique_ptr<BodyStream> self) = 0;
};

class Transport {
public:
    virtual ~Transport() = default;  // aborts every call
    // Starts a POST. What goes wrong is said by the stream.
    virtual std::unique_ptr<BodyStream> start(HttpCall call) = 0;
    virtual std::size_t calls() const = 0;  // in flight, those being left included
};

// What is left of a call that goes on alone.
constexpr std::size_t leaving_bytes_max = 64U << 10;
constexpr std::chrono::seconds leaving_max(1);

// host:port of a URL, without user and password.
std::string host_of(const std::string& url);
// How much of what follows a URL's scheme is its host, port, user and password.
std::size_t host_bytes(std::string_view rest_of_url);
// A key with a line break in it would smuggle headers.
bool has_line_break(const std::vector<std::string>& headers);

// retry-after's value as milliseconds: seconds ("1.5") or an HTTP date; 0 when it is neither or
// past; at most an hour.
int parse_retry_after_ms(std::string_view value, std::int64_t now_unix_s);

// The errors that every transport words alike.
Error call_given_up(const std::string& host);
Error deadline_passed(const std::string& host, const Deadline& deadline);
Error over_body_limit(const std::string& host, std::size_t bytes_max);
Error line_break_in_key(const std::string& host);

}  // namespace sluice
