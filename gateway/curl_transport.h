// Calls to upstreams: one libcurl multi handle driven by one io_context(1), bodies pulled.
// Thread: the io thread's alone; one transport a thread, destroyed before its io_context.
// Limits: a body waits in at most 64 KiB plus one read of curl's, then the transfer is paused and
// the peer is slowed by TCP or HTTP/2 flow control; next() resumes it.
// TLS is verified against the system's CA bundle, or the file SSL_CERT_FILE names; at least 1.2.
// https calls go through HTTPS_PROXY / ALL_PROXY unless NO_PROXY excludes the host; plain http,
// which is for loopback and private networks, never goes through a proxy. No redirects.
// A kept connection that turns out dead before any byte of the answer is replaced by a new one (by
// curl, once): the peer closed it while it idled, or it would have answered.
// Errors carry the host and curl's words; never a header, so never a credential.
#pragma once

#include <curl/curl.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/result.h"

namespace sluice {

namespace net = boost::asio;

class CurlTransport;

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
};

// One call being answered. Destroying it aborts the transfer and closes its connection (HTTP/1.1)
// or resets its stream (HTTP/2) at once. May outlive the transport; its waits then give cancelled.
class BodyStream {
public:
    ~BodyStream();
    BodyStream(const BodyStream&) = delete;
    BodyStream& operator=(const BodyStream&) = delete;

    // The status and headers, as soon as they are there. Errors: upstream_failed (cannot connect,
    // reset, TLS), timed_out (connecting, or the deadline), cancelled.
    net::awaitable<Result<ResponseHead>> head(Deadline deadline);
    // Replaces `bytes` by what has arrived since the last call, at least one byte; empty at the end
    // of the body. The string's memory is used again: pass the same one. Errors as above, and
    // upstream_failed for a body that was cut short or is over its limit.
    net::awaitable<Status> next(std::string& bytes, Deadline deadline);
    // Aborts the transfer and wakes the one who waits, with Errc::cancelled.
    void cancel();
    // The request may have reached the upstream, so it may have begun to work.
    bool sent() const;

    // The answer is complete before its body is: the rest is read and dropped in the background,
    // for at most a second and 64 KiB, so that the connection can be used again.
    static void leave(std::unique_ptr<BodyStream> body);

private:
    friend class CurlTransport;
    BodyStream(CurlTransport& transport, HttpCall call);
    static std::size_t on_header(char* data, std::size_t, std::size_t bytes, void* self);
    static std::size_t on_body(char* data, std::size_t, std::size_t bytes, void* self);
    bool begin();    // gives the call to curl
    void release();  // takes it from curl; the handle goes back to the pool
    void done(CURLcode result);
    void wake();
    void read_header(std::string_view line);
    bool arrived() const { return !bytes_.empty() || done_ || over_limit_ || cancelled_; }
    net::awaitable<Status> wait(Deadline deadline);
    Error failure() const;

    CurlTransport* transport_;  // null after the transport's end
    HttpCall call_;
    std::string host_;
    CURL* easy_ = nullptr;
    curl_slist* headers_ = nullptr;
    ResponseHead head_;
    std::string bytes_;  // arrived, not yet taken
    std::size_t received_ = 0;
    CURLcode result_ = CURLE_OK;
    bool head_complete_ = false;
    bool done_ = false;
    bool paused_ = false;
    bool over_limit_ = false;
    bool cancelled_ = false;
    bool leaving_ = false;
    bool sent_ = false;
    bool waiting_ = false;
    net::steady_timer wake_;  // expires at the deadline, cancelled when something arrives
    std::array<char, CURL_ERROR_SIZE> curl_words_{};
};

class CurlTransport {
public:
    explicit CurlTransport(net::io_context& io);
    ~CurlTransport();  // aborts every call
    CurlTransport(const CurlTransport&) = delete;
    CurlTransport& operator=(const CurlTransport&) = delete;

    // Starts a POST. What goes wrong is said by the stream.
    std::unique_ptr<BodyStream> start(HttpCall call);
    std::size_t calls() const { return live_.size(); }  // in flight, those being left included

private:
    friend class BodyStream;
    struct Watch;
    static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*);
    static int on_timer(CURLM*, long timeout_ms, void* self);
    static curl_socket_t on_open(void* self, curlsocktype, curl_sockaddr* address);
    static int on_close(void* self, curl_socket_t fd);
    void arm(const std::shared_ptr<Watch>& watch);
    void arm(const std::shared_ptr<Watch>& watch, bool read);
    void arm_timer();
    void act(curl_socket_t fd, int events);
    CURL* take_handle();

    net::io_context& io_;
    std::shared_ptr<CurlTransport*> self_;  // what handlers in flight hold; null after the end
    std::string ca_file_;                   // "" = the system's
    CURLM* multi_;
    std::vector<CURL*> idle_;  // handles ready for use
    std::unordered_map<curl_socket_t, std::shared_ptr<Watch>> watches_;
    std::unordered_set<curl_socket_t> connections_;  // opened by us, not curl's own wake-ups
    std::unordered_set<BodyStream*> live_;
    std::unordered_map<BodyStream*, std::unique_ptr<BodyStream>> leaving_;
    net::steady_timer timer_;
    std::optional<std::chrono::steady_clock::time_point> due_;  // when curl wants to be called
    std::chrono::steady_clock::time_point armed_;               // when timer_ fires
    bool timer_waiting_ = false;
    bool posted_ = false;
    bool acting_ = false;  // inside curl
};

// retry-after's value as milliseconds: seconds ("1.5") or an HTTP date; 0 when it is neither or
// past; at most an hour.
int parse_retry_after_ms(std::string_view value, std::int64_t now_unix_s);

}  // namespace sluice
