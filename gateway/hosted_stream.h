// A hosted upstream's answer as a DeltaStream: a call read through a Dialect.
// One io thread. Destroying it, or the request's stop, aborts the call at once and so closes the
// connection to the upstream. Nothing is tried twice here: fallback is the fleet's.
// Limits: a whole answer 32 MiB, a refusal's body 64 KiB, an event 8 MiB; deltas wait only as
// long as the bytes of one read hold them.
// Errors: what Dialect::read_error and EventReader::read say, and
//   timed_out        which of the upstream's deadlines passed
//   upstream_failed  connect error, reset, cut or malformed answer, redirect, wrong content type
//   cancelled        the stop was requested
// each with the upstream's name in front; a refusal's retry-after is in retry_after_ms.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/delta_stream.h"
#include "gateway/transport.h"
#include "providers/dialect.h"

namespace sluice {

class HostedStream final : public DeltaStream {
public:
    // Starts the call. `upstream`, `dialect`, `transport` and `stop` must outlive the stream;
    // `request` is not kept. `input_tokens` is our estimate of the prompt, for an attempt that
    // ends before the vendor has counted.
    HostedStream(Transport& transport, const Dialect& dialect, const Upstream& upstream,
                 const ChatRequest& request, std::int64_t input_tokens, Stop& stop);

    net::awaitable<Result<Delta>> next() override;

    // The vendor's counters once seen, else counted by us: the prompt's estimate, and of the
    // output the larger of its deltas and a quarter of its bytes. Zero for a call that the
    // upstream refused, failed before answering, or never got.
    Usage usage_so_far() const override;

private:
    enum class Stage { head, events, whole, refusal };
    struct Counted {  // of one kind of output
        std::int64_t deltas = 0;
        std::int64_t bytes = 0;
        void add(std::size_t more);
        std::int64_t tokens() const;
    };

    net::awaitable<Status> receive(Deadline deadline);
    Status read_head(const ResponseHead& head);
    Status read_bytes();
    Status read_end();
    Deadline next_deadline() const;
    Delta take();
    void count(const Delta& delta);
    Usage estimate() const;
    Error named(Error error) const;
    Error fail(Error error);

    const Dialect& dialect_;
    const Upstream& upstream_;
    const bool stream_;
    const std::int64_t input_tokens_;
    Stop& stop_;
    const std::chrono::steady_clock::time_point started_;
    std::unique_ptr<BodyStream> body_;
    std::optional<Stop::Watch> watch_;
    Stage stage_ = Stage::head;
    ResponseHead head_;
    std::string bytes_;  // one read of a stream
    std::string whole_;  // of a whole answer, or a refusal
    SseReader sse_;
    std::unique_ptr<EventReader> reader_;
    std::vector<SseEvent> events_;
    std::vector<Delta> deltas_;  // parsed, given out from at_ on
    std::size_t at_ = 0;
    std::optional<Error> failure_;  // what follows the parsed deltas, for good
    bool answering_ = false;        // a delta with an answer has been given out
    bool ended_ = false;            // the last delta has been given out
    Counted text_;
    Counted reasoning_;
    Usage vendor_usage_;
};

}  // namespace sluice
