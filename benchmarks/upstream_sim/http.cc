#include "benchmarks/upstream_sim/http.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cctype>
#include <charconv>
#include <chrono>

namespace sluice::sim {

namespace {

using net::ip::tcp;
constexpr auto use_tuple = net::as_tuple(net::use_awaitable);
constexpr std::size_t head_bytes_max = 64U << 10;
constexpr std::size_t body_bytes_max = 64U << 20;

std::string_view next_line(std::string_view& text) {
    std::size_t end = std::min(text.find("\r\n"), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 2, text.size()));
    return line;
}

std::optional<Request> parse_head(std::string_view head) {
    Request request;
    std::string_view line = next_line(head);
    std::size_t first = line.find(' ');
    std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return std::nullopt;
    request.method = line.substr(0, first);
    std::string_view target = line.substr(first + 1, last - first - 1);
    std::size_t question = std::min(target.find('?'), target.size());
    request.path = target.substr(0, question);
    if (question < target.size()) request.query = target.substr(question + 1);
    request.keep_alive = line.substr(last + 1) == "HTTP/1.1";
    while (!(line = next_line(head)).empty()) {
        std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) return std::nullopt;
        std::string name(line.substr(0, colon));
        for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        request.headers[std::move(name)] = value;
    }
    if (request.header("connection") == "close") request.keep_alive = false;
    return request;
}

// Makes `buffer` at least `bytes` long.
net::awaitable<bool> fill(tcp::socket& socket, std::string& buffer, std::size_t bytes) {
    if (buffer.size() >= bytes) co_return true;
    std::size_t had = buffer.size();
    buffer.resize(bytes);
    auto [ec, n] =
        co_await net::async_read(socket, net::buffer(buffer.data() + had, bytes - had), use_tuple);
    co_return !ec;
}

net::awaitable<bool> read_chunked(tcp::socket& socket, std::string& buffer, std::string& body) {
    for (;;) {
        auto [ec, n] = co_await net::async_read_until(
            socket, net::dynamic_buffer(buffer, head_bytes_max), "\r\n", use_tuple);
        if (ec) co_return false;
        std::size_t size = 0;
        auto [end, bad] = std::from_chars(buffer.data(), buffer.data() + n, size, 16);
        if (bad != std::errc() || body.size() + size > body_bytes_max) co_return false;
        buffer.erase(0, n);
        bool filled = co_await fill(socket, buffer, size + 2);
        if (!filled) co_return false;
        body.append(buffer, 0, size);
        buffer.erase(0, size + 2);
        if (size == 0) co_return true;
    }
}

std::string_view reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 404:
            return "Not Found";
        case 429:
            return "Too Many Requests";
        case 500:
            return "Internal Server Error";
        case 503:
            return "Service Unavailable";
    }
    return "Status";
}

std::string head_of(int status, std::string_view type, std::string_view more_headers) {
    std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
    head += reason(status);
    head += "\r\ncontent-type: ";
    head += type;
    head += "\r\n";
    head += more_headers;
    return head;
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
    auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

net::awaitable<std::optional<Request>> read_request(tcp::socket& socket, std::string& buffer) {
    auto [ec, n] = co_await net::async_read_until(
        socket, net::dynamic_buffer(buffer, head_bytes_max), "\r\n\r\n", use_tuple);
    if (ec) co_return std::nullopt;
    std::optional<Request> request = parse_head(std::string_view(buffer).substr(0, n));
    if (!request) co_return std::nullopt;
    buffer.erase(0, n);
    if (request->header("expect") == "100-continue") {
        const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        bool sent = co_await write_all(socket, go_on);
        if (!sent) co_return std::nullopt;
    }
    if (request->header("transfer-encoding") == "chunked") {
        bool read = co_await read_chunked(socket, buffer, request->body);
        if (!read) co_return std::nullopt;
        co_return request;
    }
    std::size_t size = 0;
    std::string_view length = request->header("content-length");
    std::from_chars(length.data(), length.data() + length.size(), size);
    if (size > body_bytes_max) co_return std::nullopt;
    bool filled = co_await fill(socket, buffer, size);
    if (!filled) co_return std::nullopt;
    request->body = buffer.substr(0, size);
    buffer.erase(0, size);
    co_return request;
}

net::awaitable<bool> write_all(tcp::socket& socket, const std::string& bytes) {
    auto [ec, n] = co_await net::async_write(socket, net::buffer(bytes), use_tuple);
    co_return !ec;
}

std::string whole_answer(int status, std::string_view type, std::string_view more_headers,
                         std::string_view body) {
    std::string bytes = head_of(status, type, more_headers);
    bytes += "content-length: " + std::to_string(body.size()) + "\r\n\r\n";
    bytes += body;
    return bytes;
}

std::string stream_head(std::string_view type, std::string_view more_headers) {
    return head_of(200, type, more_headers) +
           "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
}

std::string chunk_of(std::string_view bytes) {
    char size[20];
    auto [end, ec] = std::to_chars(size, size + sizeof size, bytes.size(), 16);
    std::string chunk(size, end);
    chunk += "\r\n";
    chunk += bytes;
    chunk += "\r\n";
    return chunk;
}

net::awaitable<void> wait_us(std::int64_t microseconds) {
    net::steady_timer timer(co_await net::this_coro::executor,
                            std::chrono::microseconds(microseconds));
    co_await timer.async_wait(use_tuple);
}

net::awaitable<void> peer_left(tcp::socket& socket) {
    auto [ec] = co_await socket.async_wait(tcp::socket::wait_read, use_tuple);
    char byte = 0;
    boost::system::error_code peek;
    std::size_t n = ec ? 0 : socket.receive(net::buffer(&byte, 1), tcp::socket::message_peek, peek);
    if (n == 0) co_return;
    co_await wait_us(hour_us);  // a pipelined request: the peer is there
}

}  // namespace sluice::sim
