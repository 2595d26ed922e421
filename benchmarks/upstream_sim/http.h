// The simulator's own small HTTP/1.1 framing: requests in with content-length or chunked bodies,
// answers out. One io thread. Limits: head 64 KiB, body 64 MiB.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::sim {

namespace net = boost::asio;

struct Request {
    std::string method;
    std::string path;
    std::string query;
    std::map<std::string, std::string, std::less<>> headers;  // names lower-case
    std::string body;
    bool keep_alive = true;

    std::string_view header(std::string_view name) const;
};

// The next request; `buffer` keeps what came after it. Nothing when the peer left or sent nonsense.
net::awaitable<std::optional<Request>> read_request(net::ip::tcp::socket& socket,
                                                    std::string& buffer);

net::awaitable<bool> write_all(net::ip::tcp::socket& socket, const std::string& bytes);

std::string whole_answer(int status, std::string_view type, std::string_view more_headers,
                         std::string_view body);
std::string stream_head(std::string_view type, std::string_view more_headers);
std::string chunk_of(std::string_view bytes);

// Completes when the peer has closed its side.
net::awaitable<void> peer_left(net::ip::tcp::socket& socket);
net::awaitable<void> wait_us(std::int64_t microseconds);
constexpr std::int64_t hour_us = 3'600'000'000;

}  // namespace sluice::sim
