#include "gateway/bench/load_client.h"

#include <charconv>
#include <utility>

namespace sluice::bench {
namespace {

// About 430 bytes, as a small chat call is.
std::string request_body(const Script& script, bool stream) {
    std::string body = R"({"model":"auto","messages":[{"role":"system","content":"You are a )"
                       R"(helpful assistant of the company. Answer briefly and to the point."},)"
                       R"({"role":"user","content":")";
    body += prompt_text(script);
    body +=
        "What is the capital of France, and since when? Name the river that flows through it."
        R"("}],"temperature":0.2,"max_tokens":)";
    body += std::to_string(std::max(script.tokens, 64));
    if (stream) body += R"(,"stream":true,"stream_options":{"include_usage":true})";
    return body + "}";
}

std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
    std::size_t at = text.find(before);
    if (at == std::string_view::npos) return {};
    at += before.size();
    return text.substr(at, text.find(after, at) - at);
}

}  // namespace

LoadClient::LoadClient(EventLoop& loop, const Target& target, Tally& tally,
                       std::function<bool(Script&)> again)
    : Source(loop), target_(target), tally_(tally), again_(std::move(again)) {
    take(connect_to(target.port), EPOLLIN | EPOLLOUT);
}

void LoadClient::call(const Script& script, bool stream) {
    script_ = script;
    stream_ = stream;
    busy_ = true;
    headed_ = chunked_ = whole_ = usage_seen_ = done_seen_ = false;
    status_ = 0;
    length_ = 0;
    events_ = 0;
    body_.clear();
    text_.clear();
    std::string body = request_body(script, stream);
    output_ = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n" + target_.head +
              "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body;
    if (connected_) send_when_connected();
}

void LoadClient::call_at(Clock::time_point at, const Script& script, bool stream) {
    script_ = script;
    stream_ = stream;
    busy_ = true;
    set_timer(at);
}

void LoadClient::due() {
    Script script = script_;
    call(script, stream_);
}

void LoadClient::send_when_connected() {
    sent_at_ = Clock::now();
    if (!send_all(handle(), output_)) wrong("the connection did not take the request");
    output_.clear();
}

void LoadClient::ready(std::uint32_t events) {
    if (!connected_ && (events & EPOLLOUT) != 0) {
        connected_ = true;
        if (!output_.empty()) send_when_connected();
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
    bool open = receive_all(handle(), events, input_);
    if (busy_ && (headed_ || take_head())) {
        if (chunked_) {
            whole_ = take_chunks();
        } else {
            body_ += input_;
            input_.clear();
            whole_ = body_.size() >= length_;
        }
        if (stream_) take_events();
        if (whole_) end();
    }
    if (!open && busy_) wrong("the connection was closed in the middle of an answer");
    if (!open) close();
}

bool LoadClient::take_head() {
    std::size_t end = input_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::string_view head(input_.data(), end + 2);
    std::from_chars(head.data() + 9, head.data() + std::min<std::size_t>(12, end), status_);
    std::string_view length = between(head, "ontent-Length: ", "\r\n");
    chunked_ = head.find("ransfer-Encoding: chunked") != std::string_view::npos;
    std::from_chars(length.data(), length.data() + length.size(), length_);
    headed_ = true;
    input_.erase(0, end + 4);
    return true;
}

// Moves whole chunks from input_ to body_. True after the last.
bool LoadClient::take_chunks() {
    std::size_t at = 0;
    bool last = false;
    while (!last) {
        std::size_t line = input_.find("\r\n", at);
        if (line == std::string::npos) break;
        std::size_t size = 0;
        std::from_chars(input_.data() + at, input_.data() + line, size, 16);
        if (input_.size() < line + 2 + size + 2) break;
        body_.append(input_, line + 2, size);
        at = line + 2 + size + 2;
        last = size == 0;
    }
    input_.erase(0, at);
    return last;
}

void LoadClient::take_events() {
    std::size_t at = 0;
    for (;;) {
        std::size_t end = body_.find("\n\n", at);
        if (end == std::string::npos) break;
        std::string_view event = std::string_view(body_).substr(at, end - at);
        if (event.starts_with("data: ")) take_event(event.substr(6));
        at = end + 2;
    }
    body_.erase(0, at);
}

void LoadClient::take_event(std::string_view data) {
    if (data == "[DONE]") done_seen_ = true;
    if (data.find("\"completion_tokens\":" + std::to_string(script_.tokens)) !=
        std::string_view::npos)
        usage_seen_ = true;
    std::string_view text = between(data, "\"content\":\"", "\"");
    if (text.empty()) return;
    if (events_++ == 0) {
        std::chrono::duration<double, std::micro> waited = Clock::now() - sent_at_;
        tally_.first_token_us.push_back(waited.count());
        ++tally_.first_tokens;
    }
    text_ += text;
}

void LoadClient::end() {
    std::chrono::duration<double, std::micro> took = Clock::now() - sent_at_;
    if (status_ != 200) {
        wrong("status " + std::to_string(status_) + ": " + body_.substr(0, 300));
    } else if (stream_ && text_ != stream_text(script_.tokens)) {
        wrong("the stream's text is '" + text_.substr(0, 300) + "'");
    } else if (stream_ && !(usage_seen_ && done_seen_)) {
        wrong("the stream lacks its usage or its end");
    } else if (!stream_ && between(body_, "\"content\":\"", "\"") != answer_text(script_.id)) {
        wrong("the answer is '" + body_.substr(0, 300) + "'");
    } else {
        ++tally_.answers;
        tally_.answer_us.push_back(took.count());
        if (stream_) tally_.tokens += static_cast<std::uint64_t>(script_.tokens);
        tally_.token_events += static_cast<std::uint64_t>(events_);
    }
    busy_ = false;
    Script next;
    if (again_(next)) call(next, stream_);
}

void LoadClient::wrong(const std::string& why) {
    busy_ = false;
    if (tally_.wrong++ == 0) tally_.first_wrong = why;
}

}  // namespace sluice::bench
