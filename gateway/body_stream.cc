// BodyStream: one call of a CurlTransport.
#include <strings.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <charconv>
#include <ctime>
#include <utility>

#include "gateway/curl_transport.h"

namespace sluice {

using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto use_tuple = net::as_tuple(net::use_awaitable);
constexpr std::size_t idle_handles_max = 256;
constexpr std::size_t waiting_bytes_max = 64U << 10;
constexpr std::size_t leaving_bytes_max = 64U << 10;
constexpr std::chrono::seconds leaving_max(1);
constexpr int retry_after_ms_max = 3'600'000;

// host:port of a URL, without user and password.
std::string host_of(const std::string& url) {
    std::size_t begin = url.find("://");
    begin = begin == std::string::npos ? 0 : begin + 3;
    std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
    std::size_t at = url.rfind('@', end);
    if (at != std::string::npos && at >= begin) begin = at + 1;
    return url.substr(begin, end - begin);
}

bool has_line_break(const std::string& text) {
    return text.find_first_of("\r\n") != std::string::npos;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
    return text;
}

bool same_word(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

int whole_ms(double milliseconds) {
    return static_cast<int>(std::clamp(milliseconds, 0.0, double{retry_after_ms_max}));
}

}  // namespace

int parse_retry_after_ms(std::string_view value, std::int64_t now_unix_s) {
    double seconds = 0;
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (ec == std::errc() && end == value.data() + value.size()) return whole_ms(seconds * 1000);
    std::time_t date = curl_getdate(std::string(value).c_str(), nullptr);
    if (date == -1) return 0;
    return whole_ms(static_cast<double>(date - now_unix_s) * 1000);
}

BodyStream::BodyStream(CurlTransport& transport, HttpCall call)
    : transport_(&transport),
      call_(std::move(call)),
      host_(host_of(call_.url)),
      wake_(transport.io_) {}

BodyStream::~BodyStream() {
    release();
    if (transport_ != nullptr) transport_->live_.erase(this);
}

bool BodyStream::begin() {
    for (const std::string& header : call_.headers) {
        // A key with a line break in it would smuggle headers.
        if (has_line_break(header)) return false;
    }
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

void BodyStream::release() {
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

bool BodyStream::sent() const {
    if (easy_ == nullptr) return sent_;
    long bytes = 0;
    curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

void BodyStream::done(CURLcode result) {
    release();
    if (leaving_) {
        transport_->leaving_.erase(this);  // destroys this
        return;
    }
    done_ = true;
    result_ = result;
    wake();
}

void BodyStream::cancel() {
    if (done_ || cancelled_) return;
    release();
    cancelled_ = true;
    wake();
}

void BodyStream::leave(std::unique_ptr<BodyStream> body) {
    CurlTransport* transport = body->transport_;
    if (transport == nullptr || body->easy_ == nullptr) return;
    BodyStream* stream = body.get();
    stream->leaving_ = true;
    stream->received_ = 0;
    stream->bytes_ = std::string();
    transport->leaving_.emplace(stream, std::move(body));
    stream->wake_.expires_after(leaving_max);
    stream->wake_.async_wait([owner = transport->self_, stream](error_code ec) {
        if (!ec && *owner != nullptr) (*owner)->leaving_.erase(stream);
    });
    if (stream->paused_) curl_easy_pause(stream->easy_, CURLPAUSE_CONT);
}

void BodyStream::wake() {
    if (!std::exchange(waiting_, false)) return;
    wake_.cancel();
}

std::size_t BodyStream::on_header(char* data, std::size_t, std::size_t bytes, void* self) {
    static_cast<BodyStream*>(self)->read_header(std::string_view(data, bytes));
    return bytes;
}

void BodyStream::read_header(std::string_view line) {
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
    if (same_word(name, "content-type")) head_.content_type = value;
    if (same_word(name, "retry-after-ms")) {
        double milliseconds = 0;
        std::from_chars(value.data(), value.data() + value.size(), milliseconds);
        head_.retry_after_ms = whole_ms(milliseconds);
    }
    if (same_word(name, "retry-after") && head_.retry_after_ms == 0) {
        head_.retry_after_ms = parse_retry_after_ms(value, std::time(nullptr));
    }
}

std::size_t BodyStream::on_body(char* data, std::size_t, std::size_t bytes, void* self) {
    auto& stream = *static_cast<BodyStream*>(self);
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

net::awaitable<Status> BodyStream::wait(Deadline deadline) {
    bool passed = Clock::now() >= deadline.at;
    if (!passed) {
        wake_.expires_at(deadline.at);
        waiting_ = true;
        auto [ec] = co_await wake_.async_wait(use_tuple);
        if (!waiting_) co_return Done();
        waiting_ = false;
        if (ec) co_return Error(Errc::cancelled, host_ + ": the call was given up");
    }
    co_return Error(Errc::timed_out, host_ + ": " + std::string(deadline.name) + " of " +
                                         std::to_string(deadline.limit_ms) + " ms passed");
}

net::awaitable<Result<ResponseHead>> BodyStream::head(Deadline deadline) {
    while (!head_complete_) {
        if (done_ || cancelled_) co_return failure();
        Status woken = co_await wait(deadline);
        if (!woken) co_return woken.error();
    }
    co_return head_;
}

net::awaitable<Status> BodyStream::next(std::string& bytes, Deadline deadline) {
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

Error BodyStream::failure() const {
    if (cancelled_) return Error(Errc::cancelled, host_ + ": the call was given up");
    if (over_limit_) {
        return Error(Errc::upstream_failed, host_ + ": the answer is over the limit of " +
                                                std::to_string(call_.answer_bytes_max) + " bytes");
    }
    if (result_ == CURLE_FAILED_INIT) {
        return Error(Errc::upstream_failed,
                     host_ + ": the call could not be started; is there a line break in its key?");
    }
    std::string_view words(curl_words_.data());
    std::string message = host_ + ": ";
    message += words.empty() ? std::string_view(curl_easy_strerror(result_)) : words;
    if (result_ != CURLE_OPERATION_TIMEDOUT) return Error(Errc::upstream_failed, message);
    message += " (connect_ms is " + std::to_string(call_.connect_ms) + ")";
    return Error(Errc::timed_out, message);  // connecting is all that curl itself times
}

}  // namespace sluice
