#include "gateway/hosted_stream.h"

#include <algorithm>
#include <utility>

namespace sluice {

using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t whole_bytes_max = 32U << 20;
constexpr std::size_t refusal_bytes_max = 64U << 10;
constexpr std::int64_t bytes_a_token = 4;
constexpr std::string_view hidden_key = "[api key]";

HttpCall call_for(const Dialect& dialect, const Upstream& upstream, const ChatRequest& request) {
    UpstreamHttp http = dialect.upstream_http(upstream);
    HttpCall call;
    call.url.reserve(upstream.base_url.size() + http.path.size());
    call.url.append(upstream.base_url).append(http.path);
    call.body = dialect.write_request(request, upstream);
    call.headers = std::move(http.headers);
    call.headers.emplace_back(request.stream ? "accept: text/event-stream"
                                             : "accept: application/json");
    call.connect_ms = upstream.deadlines.connect_ms;
    call.answer_bytes_max = request.stream ? 0 : whole_bytes_max;
    return call;
}

// Whether `type` is `wanted`, whatever parameters follow ("; charset=utf-8").
bool is_type(std::string_view type, std::string_view wanted) {
    if (type.size() < wanted.size()) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        char c = type[i];
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (c != wanted[i]) return false;
    }
    return type.size() == wanted.size() || type[wanted.size()] == ';' || type[wanted.size()] == ' ';
}

}  // namespace

void HostedStream::Counted::add(std::size_t more) {
    if (more == 0) return;
    ++deltas;
    bytes += static_cast<std::int64_t>(more);
}

std::int64_t HostedStream::Counted::tokens() const {
    return std::max(deltas, (bytes + bytes_a_token - 1) / bytes_a_token);
}

HostedStream::HostedStream(Transport& transport, const Dialect& dialect, const Upstream& upstream,
                           const ChatRequest& request, std::int64_t input_tokens, Stop& stop)
    : dialect_(dialect),
      upstream_(upstream),
      stream_(request.stream),
      input_tokens_(input_tokens),
      stop_(stop),
      started_(Clock::now()),
      body_(transport.start(call_for(dialect, upstream, request))) {
    watch_.emplace(stop, [this] {
        if (body_) body_->cancel();
    });
}

net::awaitable<Result<Delta>> HostedStream::next() {
    if (stop_.requested() && !ended_) co_return fail(Error(Errc::cancelled, "the caller left"));
    if (at_ < deltas_.size()) co_return take();
    if (ended_) co_return Error(Errc::internal, "nothing follows the last delta");
    // One deadline for the wait as a whole: pings do not put it off.
    Deadline deadline = next_deadline();
    while (at_ == deltas_.size()) {
        if (failure_) co_return *failure_;
        deltas_.clear();
        at_ = 0;
        Status received = co_await receive(deadline);
        if (!received) fail(std::move(received).error());
    }
    co_return take();
}

// Waits for more of the answer and turns it into deltas (possibly none).
net::awaitable<Status> HostedStream::receive(Deadline deadline) {
    if (stage_ == Stage::head) {
        Result<ResponseHead> head = co_await body_->head(deadline);
        if (!head) co_return head.error();
        co_return read_head(*head);
    }
    Status arrived = co_await body_->next(bytes_, deadline);
    if (!arrived) {
        // A refusal whose body breaks off is still a refusal.
        if (stage_ == Stage::refusal) co_return read_end();
        co_return arrived.error();
    }
    if (bytes_.empty()) co_return read_end();
    co_return read_bytes();
}

Status HostedStream::read_head(const ResponseHead& head) {
    head_ = head;
    if (head.status >= 400) {
        stage_ = Stage::refusal;
        return Done();
    }
    if (head.status != 200) {
        std::string message = "answered HTTP " + std::to_string(head.status);
        if (head.status >= 300) message += "; redirects are not followed, correct its base_url";
        return Error(Errc::upstream_failed, std::move(message));
    }
    std::string_view wanted = stream_ ? "text/event-stream" : "application/json";
    if (!is_type(head.content_type, wanted)) {
        return Error(Errc::upstream_failed, "answered with content-type '" + head.content_type +
                                                "' where " + std::string(wanted) + " was asked");
    }
    stage_ = stream_ ? Stage::events : Stage::whole;
    if (stream_) reader_ = dialect_.event_reader(upstream_);
    return Done();
}

Status HostedStream::read_bytes() {
    if (stage_ == Stage::refusal) {
        whole_.append(bytes_, 0, refusal_bytes_max - whole_.size());
        return whole_.size() < refusal_bytes_max ? Done() : read_end();
    }
    if (stage_ == Stage::whole) {
        if (whole_.empty()) {
            whole_.swap(bytes_);
        } else {
            whole_ += bytes_;
        }
        return Done();
    }
    events_.clear();
    Status framed = sse_.feed(bytes_, events_);
    for (const SseEvent& event : events_) {
        Status read = reader_->read(event, deltas_);
        if (!read) return read;
        if (!deltas_.empty() && deltas_.back().last) return Done();
    }
    return framed;
}

// The body ended.
Status HostedStream::read_end() {
    if (stage_ == Stage::events) {
        if (sse_.unfinished()) {
            return Error(Errc::upstream_failed, "the stream ended inside an event");
        }
        Status finished = reader_->finish(deltas_);
        if (!finished) return finished;
        if (!deltas_.empty() && deltas_.back().last) return Done();
        return Error(Errc::upstream_failed, "the stream ended before its answer was complete");
    }
    if (stage_ == Stage::whole) {
        Result<Delta> answer = dialect_.read_answer(whole_, upstream_);
        if (!answer) return std::move(answer).error();
        deltas_.push_back(*std::move(answer));
        deltas_.back().last = true;
        return Done();
    }
    Error refused = dialect_.read_error(head_.status, whole_);
    refused.retry_after_ms = std::max(refused.retry_after_ms, head_.retry_after_ms);
    return refused;
}

// The nearest of the deadlines that hold now.
Deadline HostedStream::next_deadline() const {
    const Deadlines& limits = upstream_.deadlines;
    using Ms = std::chrono::milliseconds;
    Deadline total{started_ + Ms(limits.total_ms), "total_ms", limits.total_ms};
    if (!stream_) return total;
    Deadline wait{started_ + Ms(limits.first_token_ms), "first_token_ms", limits.first_token_ms};
    if (answering_) {
        wait.at = Clock::now() + Ms(limits.inter_token_ms);
        wait.name = "inter_token_ms";
        wait.limit_ms = limits.inter_token_ms;
    }
    return wait.at < total.at ? wait : total;
}

Delta HostedStream::take() {
    Delta delta = std::move(deltas_[at_++]);
    count(delta);
    answering_ = answering_ || delta.has_answer();
    if (!delta.last) return delta;
    ended_ = true;
    watch_.reset();
    // No answer costs no tokens at all: counters that say so were not filled in.
    if (delta.usage.input() + delta.usage.output() == 0) delta.usage_missing = true;
    if (delta.usage_missing) delta.usage = estimate();
    if (body_) BodyStream::leave(std::move(body_));
    return delta;
}

void HostedStream::count(const Delta& delta) {
    std::size_t text = delta.text.size() + delta.refusal.size();
    for (const ToolCallDelta& call : delta.tool_calls) {
        text += call.name.size() + call.arguments.size();
    }
    text_.add(text);
    reasoning_.add(delta.reasoning.size());
    if (delta.usage.input() + delta.usage.output() > 0) vendor_usage_ = delta.usage;
}

Usage HostedStream::estimate() const {
    Usage usage = vendor_usage_;
    if (usage.input() == 0) usage.in_uncached = input_tokens_;
    // A vendor's output counter before the end lags behind: Anthropic's starts at 1.
    if (usage.output() < text_.tokens() + reasoning_.tokens()) {
        usage.out_text = text_.tokens();
        usage.out_reasoning = reasoning_.tokens();
    }
    usage.estimated = true;
    return usage;
}

Usage HostedStream::usage_so_far() const {
    bool vendor_counted = vendor_usage_.input() + vendor_usage_.output() > 0;
    if (ended_ && vendor_counted) return vendor_usage_;
    if (stage_ == Stage::events || stage_ == Stage::whole) return estimate();
    bool abandoned =
        failure_ && (failure_->code == Errc::timed_out || failure_->code == Errc::cancelled);
    bool working = head_.status == 0 && body_ && body_->sent() && (abandoned || !failure_);
    return working ? estimate() : Usage();
}

// With the upstream's name, and without its credential, which some upstreams repeat.
Error HostedStream::named(Error error) const {
    const std::string& key = upstream_.api_key.reveal();
    std::string& message = error.message;
    for (std::size_t at = 0; !key.empty(); at += hidden_key.size()) {
        at = message.find(key, at);
        if (at == std::string::npos) break;
        message.replace(at, key.size(), hidden_key);
    }
    error.message.insert(0, upstream_.name + ": ");
    return error;
}

// The stream ends here; deltas parsed before the failure still come first.
Error HostedStream::fail(Error error) {
    if (!failure_) failure_ = named(std::move(error));
    watch_.reset();
    if (body_) body_->cancel();
    return *failure_;
}

}  // namespace sluice
