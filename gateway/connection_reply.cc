// The half of a connection that answers: heads, chunks, and writes that wait for a slow client.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>

#include "gateway/connection.h"
#include "gateway/http_answer.h"

namespace sluice {
namespace {

constexpr std::size_t output_bytes_kept_max = 64U << 10;
constexpr std::size_t write_progress_bytes = 64U << 10;
constexpr std::string_view nothing;

}  // namespace

std::string_view Connection::format_head(int status, std::string_view content_type,
                                         const Headers& headers,
                                         std::optional<std::size_t> content_length) {
    if (pipelined_ || io_.draining || (http_1_0_ && !content_length)) keep_alive_ = false;
    AnswerFraming framing;
    framing.content_length = content_length;
    framing.chunked = !content_length && !http_1_0_;
    framing.close = !keep_alive_;
    framing.keep_alive = http_1_0_;
    if (io_.output.capacity() > output_bytes_kept_max) io_.output = std::string();
    io_.output.clear();
    append_answer_head(io_.output, status, content_type, headers, request_.request_id, framing);
    status_ = status;
    return io_.output;
}

net::awaitable<bool> Connection::send(int status, std::string_view content_type,
                                      const Headers& headers, const std::string& body) {
    assert(!begun());
    if (gone_) co_return false;
    auto head = format_head(status, content_type, headers, body.size());
    std::string_view shown = body;
    if (head_only_) shown = nothing;
    bool sent = co_await transmit(head, shown, nothing);
    complete_ = sent;
    co_return sent;
}

net::awaitable<bool> Connection::begin_stream(int status, std::string_view content_type,
                                              const Headers& headers) {
    assert(!begun());
    if (gone_) co_return false;
    auto head = format_head(status, content_type, headers, std::nullopt);
    streaming_ = true;
    co_return co_await transmit(head, nothing, nothing);
}

net::awaitable<bool> Connection::write(const std::string& bytes) {
    assert(streaming_ && !complete_);
    if (gone_) co_return false;
    if (bytes.empty() || head_only_) co_return true;  // an empty chunk would end the body
    if (http_1_0_) co_return co_await transmit(bytes, nothing, nothing);
    std::array<char, 20> size;
    char* end = std::to_chars(size.data(), size.data() + 16, bytes.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    std::string_view line(size.data(), static_cast<std::size_t>(end - size.data()));
    co_return co_await transmit(line, bytes, "\r\n");
}

net::awaitable<bool> Connection::end_stream() {
    assert(streaming_ && !complete_);
    if (gone_) co_return false;
    bool sent = true;
    if (!http_1_0_ && !head_only_) sent = co_await transmit("0\r\n\r\n", nothing, nothing);
    complete_ = sent;
    co_return sent;
}

// Sends the parts in one call where the socket takes them. False when the client is gone.
net::awaitable<bool> Connection::transmit(std::string_view first, std::string_view second,
                                          std::string_view third) {
    std::array<std::string_view, 3> parts = {first, second, third};
    std::array<iovec, 3> vectors;
    std::size_t total = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        vectors[i].iov_base = const_cast<char*>(parts[i].data());  // sendmsg does not write there
        vectors[i].iov_len = parts[i].size();
        total += parts[i].size();
    }
    msghdr message = {};
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
    ssize_t size = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        lost();
        co_return false;
    }
    std::size_t sent = size < 0 ? 0 : static_cast<std::size_t>(size);
    if (sent == total) co_return true;
    for (std::string_view part : parts) {
        std::size_t skipped = std::min(sent, part.size());
        sent -= skipped;
        unsent_.append(part.substr(skipped));
    }
    co_return co_await flush();
}

// Waits for the client to take what transmit() could not send.
net::awaitable<bool> Connection::flush() {
    std::string_view left = unsent_;
    std::size_t progress = 0;
    set_deadline(io_.limits.write_ms);
    while (!left.empty() && !gone_ && !expired_) {
        auto self = shared_from_this();
        auto writable = [self](const boost::system::error_code&) { self->wakeup_.wake(); };
        socket_.async_wait(Socket::wait_write, writable);
        co_await wakeup_.wait();
        ssize_t size = ::send(socket_.native_handle(), left.data(), left.size(), MSG_NOSIGNAL);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (size < 0) break;
        left.remove_prefix(static_cast<std::size_t>(size));
        progress += static_cast<std::size_t>(size);
        if (progress < write_progress_bytes) continue;
        progress = 0;
        set_deadline(io_.limits.write_ms);
    }
    clear_deadline();
    bool sent = left.empty() && !gone_;
    unsent_ = std::string();
    if (!sent) lost();
    co_return sent;
}

}  // namespace sluice
