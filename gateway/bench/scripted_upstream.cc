#include "gateway/bench/scripted_upstream.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <string_view>

namespace sluice::bench {
namespace {

// The number after `mark` in `text`, or -1.
std::int64_t number_after(std::string_view text, std::string_view mark) {
    std::size_t at = text.find(mark);
    if (at == std::string_view::npos) return -1;
    std::int64_t value = -1;
    std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), value);
    return value;
}

bool read_script(std::string_view body, Script& script) {
    std::size_t at = body.find("bench ");
    if (at == std::string_view::npos) return false;
    std::string_view words = body.substr(at, 120);
    auto id = number_after(words, "bench ");
    auto tokens = number_after(words, " tokens=");
    auto gap_us = number_after(words, " gap_us=");
    auto hold = number_after(words, " hold=");
    if (id < 0 || tokens < 0 || gap_us < 0 || hold < 0) return false;
    script.id = static_cast<std::uint64_t>(id);
    script.tokens = static_cast<int>(tokens);
    script.gap_us = static_cast<int>(gap_us);
    script.hold = hold == 1;
    return true;
}

std::string event_head(std::uint64_t id) {
    return "data: {\"id\":\"chatcmpl-" + std::to_string(id) +
           "\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"bench\",";
}

std::string usage_text(int tokens) {
    return "\"usage\":{\"prompt_tokens\":60,\"completion_tokens\":" + std::to_string(tokens) +
           ",\"total_tokens\":" + std::to_string(60 + tokens) + "}";
}

void append_chunk(std::string& out, std::string_view event) {
    char size[16];
    auto end = std::to_chars(size, size + sizeof size, event.size(), 16).ptr;
    out.append(size, end);
    out += "\r\n";
    out += event;
    out += "\r\n";
}

constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

}  // namespace

std::string prompt_text(const Script& script) {
    return "bench " + std::to_string(script.id) + " tokens=" + std::to_string(script.tokens) +
           " gap_us=" + std::to_string(script.gap_us) + " hold=" + (script.hold ? "1" : "0") + " ";
}

std::string answer_text(std::uint64_t id) {
    return "This is the whole answer to the request numbered " + std::to_string(id) +
           ", long enough to be like one: its first words say which it is, the rest is ballast.";
}

std::string stream_text(int tokens) {
    std::string text;
    for (int i = 0; i < tokens; ++i) text += " t" + std::to_string(i);
    return text;
}

// One connection of a client, one request at a time.
class ScriptedUpstream::Call final : public Source {
public:
    Call(EventLoop& loop, ScriptedUpstream& upstream, int handle)
        : Source(loop), upstream_(upstream) {
        take(handle, EPOLLIN);
    }

    void ready(std::uint32_t events) override {
        bool open = receive_all(handle(), events, input_);
        while (open && take_request()) {
        }
        if (!open) finish();
    }

    void due() override {
        if (next_token_ < script_.tokens) {
            send_token();
            return;
        }
        send_end();
    }

    void resume() { set_timer(Clock::now()); }

private:
    bool take_request() {
        std::size_t end = input_.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        std::size_t body_at = end + 4;
        auto length = number_after(std::string_view(input_).substr(0, end), "ontent-Length: ");
        if (length < 0)
            length = number_after(std::string_view(input_).substr(0, end), "ontent-length: ");
        std::size_t size = length < 0 ? 0 : static_cast<std::size_t>(length);
        if (input_.size() < body_at + size) return false;
        std::string_view body = std::string_view(input_).substr(body_at, size);
        bool stream = body.find("\"stream\":true") != std::string_view::npos;
        bool known = read_script(body, script_);
        input_.erase(0, body_at + size);
        if (!known) {
            ++upstream_.faults_;
            send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        } else if (stream) {
            next_token_ = 0;
            send(stream_head);
            send_token();
        } else {
            send_whole();
        }
        return true;
    }

    void send_whole() {
        std::string body = "{\"id\":\"chatcmpl-" + std::to_string(script_.id) +
                           "\",\"object\":\"chat.completion\",\"created\":1760000000,"
                           "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                           "\"assistant\",\"content\":\"" +
                           answer_text(script_.id) +
                           "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}]," + usage_text(40) +
                           "}";
        std::string answer =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            "Content-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body;
        send(answer);
    }

    void send_token() {
        std::string event = event_head(script_.id);
        event += "\"choices\":[{\"index\":0,\"delta\":{";
        if (next_token_ == 0) event += "\"role\":\"assistant\",";
        event += "\"content\":\" t" + std::to_string(next_token_) +
                 "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
        std::string out;
        append_chunk(out, event);
        send(out);
        if (next_token_++ == 0 && script_.hold) {
            upstream_.held_.push_back(this);
            return;
        }
        set_timer(Clock::now() + std::chrono::microseconds(script_.gap_us));
    }

    void send_end() {
        std::string out;
        append_chunk(out, event_head(script_.id) +
                              "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
                              "\"stop\"}]}\n\n");
        append_chunk(
            out, event_head(script_.id) + "\"choices\":[]," + usage_text(script_.tokens) + "}\n\n");
        append_chunk(out, "data: [DONE]\n\n");
        out += "0\r\n\r\n";
        send(out);
    }

    void send(std::string_view bytes) {
        if (!send_all(handle(), bytes)) ++upstream_.faults_;
    }

    void finish() {
        std::erase(upstream_.held_, this);
        close();
        auto self = upstream_.calls_.extract(this);
        loop_.bury(std::move(self.mapped()));
    }

    ScriptedUpstream& upstream_;
    std::string input_;
    Script script_;
    int next_token_ = 0;
};

ScriptedUpstream::ScriptedUpstream(EventLoop& loop) : Source(loop) {}

Status ScriptedUpstream::listen() {
    int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bool bound = ::bind(handle, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                 ::listen(handle, 4096) == 0 &&
                 ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    take(handle, EPOLLIN);
    if (!bound)
        return Error(Errc::internal,
                     std::string("cannot listen on 127.0.0.1: ") + std::strerror(errno));
    port_ = ntohs(address.sin_port);
    return Done{};
}

void ScriptedUpstream::ready(std::uint32_t) {
    for (;;) {
        int peer = ::accept4(handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer < 0) return;
        int on = 1;
        ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        auto call = std::make_unique<Call>(loop_, *this, peer);
        Source* key = call.get();
        calls_.emplace(key, std::move(call));
    }
}

void ScriptedUpstream::release() {
    for (Call* call : std::exchange(held_, {})) call->resume();
}

}  // namespace sluice::bench
