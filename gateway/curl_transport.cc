#include "gateway/curl_transport.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <cstdlib>
#include <new>
#include <utility>

namespace sluice {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr long idle_connections_max = 1'024;

// What every call has in common; set once a handle.
void set_common(CURL* easy, const std::string& ca_file) {
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // An aborted call must not wait for its name lookup: the lookup's thread ends by itself.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
}

}  // namespace

// One of curl's descriptors in the io_context.
struct CurlTransport::Watch {
    net::posix::stream_descriptor descriptor;
    std::shared_ptr<CurlTransport*> transport;
    int want = CURL_POLL_NONE;
    bool reading = false;
    bool writing = false;
    bool closed = false;
    Watch(net::io_context& io, std::shared_ptr<CurlTransport*> owner)
        : descriptor(io), transport(std::move(owner)) {}
};

CurlTransport::CurlTransport(net::io_context& io)
    : io_(io), self_(std::make_shared<CurlTransport*>(this)), timer_(io) {
    [[maybe_unused]] static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
    assert(once == CURLE_OK);
    if (const char* file = std::getenv("SSL_CERT_FILE")) ca_file_ = file;
    multi_ = curl_multi_init();
    if (multi_ == nullptr) throw std::bad_alloc();
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, idle_connections_max);
}

CurlTransport::~CurlTransport() {
    leaving_.clear();
    while (!live_.empty()) {
        CurlBody* stream = *live_.begin();
        stream->cancel();
        live_.erase(stream);
        stream->transport_ = nullptr;
    }
    for (CURL* easy : idle_) curl_easy_cleanup(easy);
    curl_multi_cleanup(multi_);
    *self_ = nullptr;
    for (auto& [fd, watch] : watches_) watch->descriptor.release();
}

std::unique_ptr<BodyStream> CurlTransport::start(HttpCall call) {
    std::unique_ptr<CurlBody> stream(new CurlBody(*this, std::move(call)));
    live_.insert(stream.get());
    if (!stream->begin()) stream->done(CURLE_FAILED_INIT);
    return stream;
}

CURL* CurlTransport::take_handle() {
    if (!idle_.empty()) {
        CURL* easy = idle_.back();
        idle_.pop_back();
        return easy;
    }
    CURL* easy = curl_easy_init();
    if (easy == nullptr) return nullptr;
    set_common(easy, ca_file_);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, CurlBody::on_header);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, CurlBody::on_body);
    return easy;
}

curl_socket_t CurlTransport::on_open(void* self, curlsocktype, curl_sockaddr* address) {
    int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    static_cast<CurlTransport*>(self)->connections_.insert(fd);
    return fd;
}

int CurlTransport::on_close(void* self, curl_socket_t fd) {
    auto& transport = *static_cast<CurlTransport*>(self);
    transport.connections_.erase(fd);
    auto found = transport.watches_.find(fd);
    if (found != transport.watches_.end()) {
        found->second->closed = true;
        found->second->descriptor.release();
        transport.watches_.erase(found);
    }
    return ::close(fd);
}

// A connection stays registered while it idles between calls: two system calls saved a call.
// Curl's own descriptors (name lookups) are let go at once, since curl closes those unseen.
int CurlTransport::on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    auto& transport = *static_cast<CurlTransport*>(self);
    auto found = transport.watches_.find(fd);
    if (what == CURL_POLL_REMOVE) {
        if (found == transport.watches_.end()) return 0;
        found->second->want = CURL_POLL_NONE;
        if (!transport.connections_.contains(fd)) {
            found->second->closed = true;
            found->second->descriptor.release();
            transport.watches_.erase(found);
        }
        return 0;
    }
    if (found == transport.watches_.end()) {
        auto watch = std::make_shared<Watch>(transport.io_, transport.self_);
        error_code ec;
        watch->descriptor.assign(fd, ec);
        if (ec) {  // out of epoll watches: this call fails; -1 would end all of the multi's
            net::post(transport.io_, [owner = transport.self_, fd] {
                if (*owner != nullptr) (*owner)->act(fd, CURL_CSELECT_ERR);
            });
            return 0;
        }
        found = transport.watches_.emplace(fd, std::move(watch)).first;
    }
    found->second->want = what;
    transport.arm(found->second);
    return 0;
}

void CurlTransport::arm(const std::shared_ptr<Watch>& watch) {
    if ((watch->want & CURL_POLL_IN) != 0 && !watch->reading) arm(watch, true);
    if ((watch->want & CURL_POLL_OUT) != 0 && !watch->writing) arm(watch, false);
}

void CurlTransport::arm(const std::shared_ptr<Watch>& watch, bool read) {
    bool& armed = read ? watch->reading : watch->writing;
    armed = true;
    auto kind =
        read ? net::posix::stream_descriptor::wait_read : net::posix::stream_descriptor::wait_write;
    watch->descriptor.async_wait(kind, [watch, read](error_code ec) {
        (read ? watch->reading : watch->writing) = false;
        CurlTransport* transport = *watch->transport;
        if (transport == nullptr || watch->closed) return;
        int wanted = watch->want & (read ? CURL_POLL_IN : CURL_POLL_OUT);
        if (wanted == 0) return;  // idle, or curl waits for the other direction
        int event = read ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
        transport->act(watch->descriptor.native_handle(), ec ? CURL_CSELECT_ERR : event);
        if (!watch->closed) transport->arm(watch);
    });
}

int CurlTransport::on_timer(CURLM*, long timeout_ms, void* self) {
    auto& transport = *static_cast<CurlTransport*>(self);
    transport.due_.reset();
    if (timeout_ms < 0) return 0;
    if (timeout_ms > 0) {
        transport.due_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
        transport.arm_timer();
        return 0;
    }
    if (std::exchange(transport.posted_, true)) return 0;
    net::post(transport.io_, [owner = transport.self_] {
        if (*owner == nullptr) return;
        (*owner)->posted_ = false;
        (*owner)->act(CURL_SOCKET_TIMEOUT, 0);
    });
    return 0;
}

// Curl moves its timeout with every call; the timer is left where it is when it fires early enough.
void CurlTransport::arm_timer() {
    if (timer_waiting_ && armed_ <= *due_) return;
    armed_ = *due_;
    timer_waiting_ = true;
    timer_.expires_at(armed_);
    timer_.async_wait([owner = self_](error_code ec) {
        if (ec || *owner == nullptr) return;
        CurlTransport& transport = **owner;
        transport.timer_waiting_ = false;
        if (!transport.due_) return;
        if (Clock::now() < *transport.due_) {
            transport.arm_timer();
            return;
        }
        transport.due_.reset();
        transport.act(CURL_SOCKET_TIMEOUT, 0);
    });
}

void CurlTransport::act(curl_socket_t fd, int events) {
    assert(!acting_);
    acting_ = true;
    int running = 0;
    curl_multi_socket_action(multi_, fd, events, &running);
    acting_ = false;
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        CurlBody* stream = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &stream);
        stream->done(message->data.result);
    }
}

}  // namespace sluice
