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

#include "gateway/transport.h"

namespace sluice {

class CurlTransport;

class CurlBody final : public BodyStream {
public:
    ~CurlBody() override;
    net::awaitable<Result<ResponseHead>> head(Deadline deadline) override;
    net::awaitable<Status> next(std::string& bytes, Deadline deadline) override;
    void cancel() override;
    bool sent() const override;

private:
    friend class CurlTransport;
    CurlBody(CurlTransport& transport, HttpCall call);
    void go_on_alone(std::unique_ptr<BodyStream> self) override;
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

class CurlTransport final : public Transport {
public:
    explicit CurlTransport(net::io_context& io);
    ~CurlTransport() override;
    CurlTransport(const CurlTransport&) = delete;
    CurlTransport& operator=(const CurlTransport&) = delete;

    std::unique_ptr<BodyStream> start(HttpCall call) override;
    std::size_t calls() const override { return live_.size(); }

private:
    friend class CurlBody;
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
    std::unordered_set<CurlBody*> live_;
    std::unordered_map<CurlBody*, std::unique_ptr<BodyStream>> leaving_;
    net::steady_timer timer_;
    std::optional<std::chrono::steady_clock::time_point> due_;  // when curl wants to be called
    std::chrono::steady_clock::time_point armed_;               // when timer_ fires
    bool timer_waiting_ = false;
    bool posted_ = false;
    bool acting_ = false;  // inside curl
};

}  // namespace sluice
