#include "gateway/local_stream.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace sluice {

namespace {

using Clock = std::chrono::steady_clock;
using boost::system::error_code;
using PieceChannel = net::experimental::concurrent_channel<void(error_code, Piece)>;

// What the engine thread holds. The channel belongs to the stream and dies with it, on the io
// thread; leave() makes sure that no put() still uses it then.
class SinkState {
public:
    explicit SinkState(PieceChannel& channel) : channel_(&channel) {}

    // Engine thread. False: no room now, the piece is untouched.
    bool put(Piece& piece) {
        inside_.store(true);
        bool taken = true;
        if (!gone_.load()) taken = channel_->try_send(error_code(), std::move(piece));
        inside_.store(false);
        return taken;
    }

    // Io thread. After it returns the channel is not touched again.
    void leave() {
        gone_.store(true);
        while (inside_.load()) std::this_thread::yield();
    }

private:
    PieceChannel* channel_;
    std::atomic<bool> inside_ = false;
    std::atomic<bool> gone_ = false;
};

// Ends a wait on the channel when its deadline passes. One timer serves all waits: it is moved only
// when a deadline comes before what it is set to, so that a wait costs no timer.
class WaitLimit : public std::enable_shared_from_this<WaitLimit> {
public:
    WaitLimit(const net::any_io_executor& executor, PieceChannel& channel)
        : timer_(executor), channel_(&channel) {}

    void begin(Clock::time_point deadline) {
        deadline_ = deadline;
        waiting_ = true;
        if (!armed_ || deadline < timer_.expiry()) arm();
    }
    void end() { waiting_ = false; }
    bool passed() const { return passed_; }
    void stop() {
        channel_ = nullptr;
        timer_.cancel();
    }

private:
    void arm() {
        armed_ = true;
        timer_.expires_at(deadline_);
        timer_.async_wait([weak = weak_from_this()](error_code error) {
            const std::shared_ptr<WaitLimit> self = weak.lock();
            if (self && !error) self->fired();
        });
    }
    void fired() {
        armed_ = false;
        if (channel_ == nullptr || !waiting_) return;
        if (Clock::now() < deadline_) return arm();
        passed_ = true;
        channel_->cancel();
    }

    net::steady_timer timer_;
    PieceChannel* channel_;
    Clock::time_point deadline_;
    bool waiting_ = false;
    bool armed_ = false;
    bool passed_ = false;
};

class LocalStream final : public DeltaStream {
public:
    LocalStream(Engine& engine, const LocalProvider& provider, const LocalCall& call,
                const Upstream& upstream, Stop& stop, const net::any_io_executor& executor)
        : engine_(engine),
          upstream_(upstream),
          stop_(stop),
          started_(Clock::now()),
          reader_(provider, call),
          channel_(executor, pieces_max),
          limit_(std::make_shared<WaitLimit>(executor, channel_)),
          sink_(std::make_shared<SinkState>(channel_)) {}

    ~LocalStream() override {
        watch_.reset();
        limit_->stop();
        if (sequence_ && !ended_) engine_.cancel(*sequence_);
        sink_->leave();
    }

    Status submit(LocalCall call) {
        Sink sink = [state = sink_](Piece& piece) { return state->put(piece); };
        auto sequence = engine_.submit(std::move(call.prompt), std::move(call.sampling),
                                       std::move(sink), std::move(call.options));
        if (!sequence) return std::move(sequence).error();
        sequence_ = *sequence;
        watch_.emplace(stop_, [this] {
            if (!ended_) engine_.cancel(*sequence_);
            channel_.cancel();
        });
        return Done();
    }

    net::awaitable<Result<Delta>> next() override {
        if (ended_) co_return failure_.value_or(Error(Errc::internal, "nothing follows the end"));
        Delta delta;
        while (!delta.has_answer()) {
            if (stop_.requested()) co_return fail(Error(Errc::cancelled, "the caller left"));
            if (Clock::now() >= end_deadline()) co_return fail(late());
            if (!take(delta) && !delta.has_answer()) co_return *failure_;
            if (delta.has_answer()) break;
            const Clock::time_point deadline = next_deadline();
            if (Clock::now() >= deadline) co_return fail(late());
            limit_->begin(deadline);
            auto [error, piece] =
                co_await channel_.async_receive(net::as_tuple(net::use_awaitable));
            limit_->end();
            if (error) co_return fail(why_cut());
            Status read = reader_.read(piece, delta);
            answering_ = true;
            if (!read) co_return fail(std::move(read).error());
        }
        take(delta);  // what came meanwhile goes out with it
        if (!named_) delta.model = upstream_.model;
        named_ = true;
        delta.usage = reader_.usage();
        ended_ = ended_ || delta.last;
        co_return delta;
    }

    Usage usage_so_far() const override { return reader_.usage(); }

private:
    // Reads the pieces that wait into `delta`, without waiting. False when one of them is a
    // failure, which ends the stream after what came before it.
    bool take(Delta& delta) {
        bool more = true;
        while (more && !failure_ && !delta.last) {
            more = channel_.try_receive([&](error_code error, const Piece& piece) {
                if (error) return;
                answering_ = true;
                Status read = reader_.read(piece, delta);
                if (!read) fail(std::move(read).error());
            });
        }
        return !failure_;
    }

    Clock::time_point end_deadline() const {
        return started_ + std::chrono::milliseconds(upstream_.deadlines.total_ms);
    }

    Clock::time_point next_deadline() const {
        using std::chrono::milliseconds;
        const Deadlines& deadlines = upstream_.deadlines;
        const auto next = answering_ ? Clock::now() + milliseconds(deadlines.inter_token_ms)
                                     : started_ + milliseconds(deadlines.first_token_ms);
        return std::min(end_deadline(), next);
    }

    Error late() const {
        const Deadlines& deadlines = upstream_.deadlines;
        const bool total = Clock::now() >= end_deadline();
        const std::string what =
            total ? "the answer was not complete within " + std::to_string(deadlines.total_ms) +
                        " ms (total_ms)"
            : answering_ ? "no token came for " + std::to_string(deadlines.inter_token_ms) +
                               " ms (inter_token_ms)"
                         : "no first token within " + std::to_string(deadlines.first_token_ms) +
                               " ms (first_token_ms)";
        return Error(Errc::timed_out, upstream_.name + ": " + what);
    }

    Error why_cut() const {
        if (limit_->passed()) return late();
        return Error(Errc::cancelled, "the caller left");
    }

    // Ends the stream; the sequence is freed at once, not when the stream is destroyed.
    Error fail(Error error) {
        ended_ = true;
        if (sequence_) engine_.cancel(*sequence_);
        failure_ = error;
        return error;
    }

    Engine& engine_;
    const Upstream& upstream_;
    Stop& stop_;
    const Clock::time_point started_;
    PieceReader reader_;
    PieceChannel channel_;
    std::shared_ptr<WaitLimit> limit_;
    std::shared_ptr<SinkState> sink_;
    std::optional<SequenceId> sequence_;
    std::optional<Stop::Watch> watch_;
    std::optional<Error> failure_;
    bool answering_ = false;  // a piece has come
    bool named_ = false;
    bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<DeltaStream>> open_local_stream(
    Engine& engine, const LocalProvider& provider, const ChatRequest& request, const Caller& caller,
    const Upstream& upstream, Stop& stop, net::any_io_executor executor) {
    auto call = provider.prepare(request, caller, std::time(nullptr));
    if (!call) return std::move(call).error();
    auto stream = std::make_unique<LocalStream>(engine, provider, *call, upstream, stop, executor);
    Status submitted = stream->submit(*std::move(call));
    if (!submitted) return std::move(submitted).error();
    return std::unique_ptr<DeltaStream>(std::move(stream));
}

}  // namespace sluice
