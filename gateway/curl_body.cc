// CurlBody: one call of a CurlTransport.
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <charconv>
#include <utility>

#include "gateway/curl_transport.h"

namespace sluice {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto use_tuple = net::as_tuple(net::use_awaitable);
constexpr std::size_t idle_handles_max = 256;
constexpr std::size_t waiting_bytes_max = 64U << 10;
std::string_view trimmed(std::string_view text) {
    while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
    return text;
}

}  // namespace

CurlBody::CurlBody(CurlTransport& transport, HttpCall call)
    : transport_(&transport),
      call_(std::move(call)),
      host_(host_of(call_.url)),
      wake_(transport.io_) {}

CurlBody::~CurlBody() {
    release();
    if (transport_ != nullptr) transport_->live_.erase(this);
}

bool CurlBody::begin() {
    if (has_line_break(call_.headers)) return false;
    easy_ = transport_->take_handle();
    if (easy_ == nullptr) return false;
    for (const std::string& header : call_.headers) {
        headers_ = curl_slist_append(headers_, header.c_str());
    }
    headers_ = curl_slist_append(headers_, "Expect:");  // curl's own would cost a round trip
    curl_easy_setopt(easy_, CURLOPT_URL, call_.url.c_str());
    bool tls = call_.url.starts_with("https:");
    curl_easy_setopt(easy_, CURLOPT_PROXY, tls ? nullptr : "");
    curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(call_.body.size()));
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, call_.body.data());
    curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(call_.connect_ms));
    curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, curl_words_.data());
    return curl_multi_add_handle(transport_->multi_, easy_) == CURLM_OK;
}

void CurlBody::release() {
    if (easy_ == nullptr) return;
    assert(!transport_->acting_);
    sent_ = sent();
    curl_multi_remove_handle(transport_->multi_, easy_);
    curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, nullptr);
    curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, nullptr);
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, nullptr);
    curl_slist_free_all(std::exchange(headers_, nullptr));
    CURL* easy = std::exchange(easy_, nullptr);
    if (transport_->idle_.size() < idle_handles_max) {
        transport_->idle_.push_back(easy);
    } else {
        curl_easy_cleanup(easy);
    }
}

bool CurlBody::sent() const {
    if (easy_ == nullptr) return sent_;
    long bytes = 0;
    curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

void CurlBody::done(CURLcode result) {
    release();
    if (leaving_) {
        transport_->leaving_.erase(this);  // destroys this
        return;
    }
    done_ = true;
    result_ = result;
    wake();
}

void CurlBody::cancel() {
    if (done_ || cancelled_) return;
    release();
    cancelled_ = true;
    wake();
}

void CurlBody::go_on_alone(std::unique_ptr<BodyStream> self) {
    if (transport_ == nullptr || easy_ == nullptr) return;
    leaving_ = true;
    received_ = 0;
    bytes_ = std::string();
    transport_->leaving_.emplace(this, std::move(self));
    wake_.expires_after(leaving_max);
    wake_.async_wait([owner = transport_->self_, this](error_code ec) {
        if (!ec && *owner != nullptr) (*owner)->leaving_.erase(this);
    });
    if (paused_) curl_easy_pause(easy_, CURLPAUSE_CONT);
}

void CurlBody::wake() {
    if (!std::exchange(waiting_, false)) return;
    wake_.cancel();
}

std::size_t CurlBody::on_header(char* data, std::size_t, std::size_t bytes, void* self) {
    static_cast<CurlBody*>(self)->read_header(std::string_view(data, bytes));
    return bytes;
}

void CurlBody::read_header(std::string_view line) {
    line = trimmed(line);
    if (line.starts_with("HTTP/")) {  // again after a 100 Continue
        head_ = ResponseHead();
        std::size_t space = line.find(' ');
        if (space == std::string_view::npos) return;
        std::from_chars(line.data() + space + 1, line.data() + line.size(), head_.status);
        return;
    }
    if (line.empty()) {
        if (head_.status < 200) return;
        head_complete_ = true;
        wake();
        return;
    }
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string_view name = line.substr(0, colon);
    std::string_view value = trimmed(line.substr(colon + 1));
    head_.read_field(name, value);
}

std::size_t CurlBody::on_body(char* data, std::size_t, std::size_t bytes, void* self) {
    auto& stream = *static_cast<CurlBody*>(self);
    if (stream.leaving_) {
        stream.received_ += bytes;
        return stream.received_ > leaving_bytes_max ? 0 : bytes;
    }
    if (stream.bytes_.size() >= waiting_bytes_max) {
        stream.paused_ = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    stream.received_ += bytes;
    std::size_t most = stream.call_.answer_bytes_max;
    if (most != 0 && stream.received_ > most) {
        stream.over_limit_ = true;
        return 0;
    }
    stream.bytes_.append(data, bytes);
    stream.wake();
    return bytes;
}

net::awaitable<Status> CurlBody::wait(Deadline deadline) {
    bool passed = Clock::now() >= deadline.at;
    if (!passed) {
        wake_.expires_at(deadline.at);
        waiting_ = true;
        auto [ec] = co_await wake_.async_wait(use_tuple);
        if (!waiting_) co_return Done();
        waiting_ = false;
        if (ec) co_return call_given_up(host_);
    }
    co_return deadline_passed(host_, deadline);
}

net::awaitable<Result<ResponseHead>> CurlBody::head(Deadline deadline) {
    while (!head_complete_) {
        if (done_ || cancelled_) co_return failure();
        Status woken = co_await wait(deadline);
        if (!woken) co_return woken.error();
    }
    co_return head_;
}

net::awaitable<Status> CurlBody::next(std::string& bytes, Deadline deadline) {
    bytes.clear();
    while (!arrived()) {
        Status woken = co_await wait(deadline);
        if (!woken) co_return woken.error();
    }
    if (cancelled_ || over_limit_) co_return failure();
    if (bytes_.empty()) {
        if (result_ != CURLE_OK) co_return failure();
        co_return Done();
    }
    bytes.swap(bytes_);
    if (std::exchange(paused_, false) && easy_ != nullptr) {
        curl_easy_pause(easy_, CURLPAUSE_CONT);  // may call on_body at once
    }
    co_return Done();
}

Error CurlBody::failure() const {
    if (cancelled_) return call_given_up(host_);
    if (over_limit_) return over_body_limit(host_, call_.answer_bytes_max);
    if (result_ == CURLE_FAILED_INIT) return line_break_in_key(host_);
    std::string_view words(curl_words_.data());
    std::string message = host_ + ": ";
    message += words.empty() ? std::string_view(curl_easy_strerror(result_)) : words;
    if (result_ != CURLE_OPERATION_TIMEDOUT) return Error(Errc::upstream_failed, message);
    message += " (connect_ms is " + std::to_string(call_.connect_ms) + ")";
    return Error(Errc::timed_out, message);  // connecting is all that curl itself times
}

}  // namespace sluice
