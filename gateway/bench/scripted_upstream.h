// The upstream of the benchmark: OpenAI chat answers that follow from the request alone, so that
// the load can check every one. What to do is written in the prompt, where any gateway passes it:
//   bench ID tokens=N gap_us=G hold=H
// A whole answer has the text answer_text(ID). A stream has N tokens, " t0" " t1" ..., each one
// event, one chunk and one send, G microseconds apart; with H=1 it stops after the first token
// until release() is called. Runs on its owner's loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/result.h"
#include "gateway/bench/event_loop.h"

namespace sluice::bench {

struct Script {
    std::uint64_t id = 0;
    int tokens = 0;
    int gap_us = 0;
    bool hold = false;
};

std::string prompt_text(const Script& script);
std::string answer_text(std::uint64_t id);
std::string stream_text(int tokens);  // all tokens joined

class ScriptedUpstream final : public Source {
public:
    explicit ScriptedUpstream(EventLoop& loop);
    Status listen();  // on a free port of 127.0.0.1
    int port() const { return port_; }
    void release();  // lets the held streams go on
    // Requests that were not understood, and answers that did not fit the socket: must stay 0.
    std::uint64_t faults() const { return faults_; }

    void ready(std::uint32_t events) override;

private:
    class Call;
    friend class Call;
    int port_ = 0;
    std::uint64_t faults_ = 0;
    std::vector<Call*> held_;
    std::map<Source*, std::unique_ptr<Source>> calls_;
};

}  // namespace sluice::bench
