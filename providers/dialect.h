// A dialect: one wire format, both directions, over the neutral nouns. No sockets, no clock.
// The gateway's client side reads requests and writes answers; its upstream side writes requests
// and reads answers: N dialects give N x N translations. Dialect objects are stateless and
// immutable (any thread); readers and writers of a stream are one per stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "providers/chat.h"
#include "providers/sse.h"
#include "providers/upstream.h"

namespace sluice {

// What an answer says of itself besides its deltas; known before the first delta is written.
struct AnswerHead {
    std::string id;            // chatcmpl-..., ours
    std::string model;         // what the client is told
    std::int64_t created = 0;  // unix seconds
    bool include_usage = false;
};

// What Sluice adds to the final usage object.
struct AnswerTail {
    Money cost;
    std::string tier;
    std::string upstream;
    bool simulated = false;
};

struct UpstreamHttp {                  // what to send, besides the body
    std::string path;                  // appended to base_url: /chat/completions
    std::vector<std::string> headers;  // "name: value", credential included
};

// One upstream stream being read.
class EventReader {
public:
    virtual ~EventReader() = default;
    // Appends what the event says (none for pings). Errors: upstream_failed (malformed, with the
    // reason) or the error the event carries, mapped.
    virtual Status read(const SseEvent& event, std::vector<Delta>& deltas) = 0;
    // The body ended. Gives the last Delta if the stream ended well without its terminator being
    // seen as such, or upstream_failed when it was cut. Nothing is appended when the last Delta
    // was given before.
    virtual Status finish(std::vector<Delta>& deltas) = 0;
};

// One client stream being written.
class EventWriter {
public:
    virtual ~EventWriter() = default;
    // Appends the bytes of this delta; on the last one, `tail` is set and the stream's terminator
    // is written too.
    virtual void write(const Delta& delta, const AnswerTail* tail, std::string& out) = 0;
    // Appends the error as the stream's last event.
    virtual void write_error(const Error& error, const std::string& request_id,
                             std::string& out) = 0;
};

class Dialect {
public:
    virtual ~Dialect() = default;
    virtual std::string_view name() const = 0;

    // Client side.
    virtual Result<ChatRequest> read_request(std::string_view body) const = 0;
    virtual std::unique_ptr<EventWriter> event_writer(const AnswerHead& head) const = 0;
    virtual std::string write_answer(const AnswerHead& head, const Delta& answer,
                                     const AnswerTail& tail) const = 0;
    virtual std::string write_error(const Error& error, const std::string& request_id) const = 0;

    // Upstream side. `request.stream` says which kind of answer is asked.
    virtual std::string write_request(const ChatRequest& request,
                                      const Upstream& upstream) const = 0;
    virtual UpstreamHttp upstream_http(const Upstream& upstream) const = 0;
    virtual std::unique_ptr<EventReader> event_reader(const Upstream& upstream) const = 0;
    virtual Result<Delta> read_answer(std::string_view body, const Upstream& upstream) const = 0;
    // The upstream's refusal (status >= 400) as an Error; body may be anything.
    virtual Error read_error(int status, std::string_view body) const = 0;
};

// nullptr when there is none of that name: openai_chat, anthropic_messages.
const Dialect* find_dialect(std::string_view name);

}  // namespace sluice
