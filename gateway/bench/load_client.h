// One connection of the benchmark's load: sends one scripted chat call at a time, reads the answer
// and checks it to the byte of its text. Runs on its owner's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/bench/event_loop.h"
#include "gateway/bench/scripted_upstream.h"

namespace sluice::bench {

// What all clients of a phase write into.
struct Tally {
    std::uint64_t answers = 0;       // right ones
    std::uint64_t tokens = 0;        // in right streams
    std::uint64_t token_events = 0;  // events that carried them: fewer where they were joined
    std::uint64_t first_tokens = 0;
    std::uint64_t wrong = 0;
    std::string first_wrong;  // what was wrong with the first of them
    std::vector<double> answer_us;
    std::vector<double> first_token_us;
};

struct Target {
    int port = 0;
    std::string head;  // request headers besides Host and Content-Length, each with CR LF
};

class LoadClient final : public Source {
public:
    // `again` is asked after each answer for the next call; false = no more.
    LoadClient(EventLoop& loop, const Target& target, Tally& tally,
               std::function<bool(Script&)> again);
    void call(const Script& script, bool stream);
    void call_at(Clock::time_point at, const Script& script, bool stream);
    bool busy() const { return busy_; }

    void ready(std::uint32_t events) override;
    void due() override;

private:
    void send_when_connected();
    bool take_head();
    bool take_chunks();
    void take_events();
    void take_event(std::string_view data);
    void end();
    void wrong(const std::string& why);

    const Target& target_;
    Tally& tally_;
    std::function<bool(Script&)> again_;
    Script script_;
    bool stream_ = false;
    bool busy_ = false;
    bool connected_ = false;
    std::string output_;
    Clock::time_point sent_at_;

    std::string input_;
    std::string body_;  // of the answer; of a stream, what is not yet taken as an event
    bool headed_ = false;
    bool chunked_ = false;
    bool whole_ = false;
    int status_ = 0;
    std::size_t length_ = 0;
    std::string text_;  // of a stream's tokens
    int events_ = 0;
    bool usage_seen_ = false;
    bool done_seen_ = false;
};

}  // namespace sluice::bench
