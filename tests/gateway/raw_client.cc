#include "tests/gateway/raw_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <utility>

namespace sluice::testing {
namespace {

constexpr int patience_ms = 60'000;

}  // namespace

RawClient::RawClient(int port) : handle_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    ::setsockopt(handle_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    REQUIRE(::connect(handle_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

RawClient::~RawClient() {
    if (handle_ >= 0) ::close(handle_);
}

void RawClient::shrink_receive_buffer() {
    int bytes = 4096;
    ::setsockopt(handle_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

bool RawClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t sent = ::send(handle_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool RawClient::fill() {
    pollfd wait = {handle_, POLLIN, 0};
    if (::poll(&wait, 1, patience_ms) != 1) FAIL("the server did not answer in time");
    char bytes[65536];
    ssize_t size = ::recv(handle_, bytes, sizeof bytes, 0);
    if (size <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(size));
    return true;
}

std::string RawClient::take(std::size_t count) {
    while (buffer_.size() < count && fill()) {
    }
    std::string taken = buffer_.substr(0, count);
    buffer_.erase(0, taken.size());
    return taken;
}

std::string RawClient::line() {
    std::size_t end;
    while ((end = buffer_.find("\r\n")) == std::string::npos)
        if (!fill()) return {};
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return text;
}

std::string RawClient::chunk() {
    std::string head = line();
    if (head.empty()) return {};
    std::size_t size = std::stoul(head, nullptr, 16);
    std::string bytes = take(size);
    REQUIRE(line() == "");
    return bytes;
}

RawAnswer RawClient::answer(bool to_head) {
    RawAnswer answer;
    std::string first = line();
    if (first.substr(0, 9) != "HTTP/1.1 ") return answer;
    answer.status = std::stoi(first.substr(9));
    for (std::string field = line(); !field.empty(); field = line()) {
        std::size_t colon = field.find(": ");
        REQUIRE(colon != std::string::npos);
        std::string name = field.substr(0, colon);
        for (char& c : name) c = static_cast<char>(std::tolower(c));
        CHECK(answer.headers.count(name) == 0);
        answer.headers[name] = field.substr(colon + 2);
    }
    if (to_head || answer.status == 100) return answer;
    if (answer.headers.count("content-length") > 0) {
        std::size_t length = std::stoul(answer.headers["content-length"]);
        answer.body = take(length);
        answer.whole = answer.body.size() == length;
    } else if (answer.headers.count("transfer-encoding") > 0) {
        for (;;) {
            std::string head = line();
            if (head.empty()) return answer;
            std::size_t size = std::stoul(head, nullptr, 16);
            answer.body += take(size);
            if (take(2) != "\r\n") return answer;
            if (size == 0) break;
            ++answer.chunks;
        }
        answer.whole = true;
    } else {
        answer.body = read_all();
        answer.whole = true;
    }
    return answer;
}

bool RawClient::closed() {
    if (!buffer_.empty()) return false;
    return !fill();
}

std::string RawClient::read_all() {
    while (fill()) {
    }
    return std::exchange(buffer_, std::string());
}

void RawClient::reset() {
    linger hard = {1, 0};
    ::setsockopt(handle_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(std::exchange(handle_, -1));
}

}  // namespace sluice::testing
