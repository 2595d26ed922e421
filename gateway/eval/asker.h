// Asks tiers many questions, a bounded number at once, by the walk of a real request: the route
// under the policy's confinements and the upstreams' abilities, the fleet, the ledger. Unlike a
// caller's request it goes to one upstream and never to another in its place, since that one is
// measured. Every attempt is a row of the ledger, of key id `eval` and rule `eval`; its baseline is
// its own cost, so that measuring saves nothing in a report.
//
// One thread: the caller's, which runs the io_context while ask_all() is under way.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/chat.h"
#include "gateway/walk.h"
#include "policies/golden/golden_set.h"

namespace sluice {

struct AskedTier {
    std::string name;
    SnapshotPtr snapshot;  // of its own: the policy without rules, itself the baseline
    const Upstream* upstream = nullptr;
};
// Errors: bad_config (no such tier, with what exists; none of it can be called).
Result<AskedTier> asked_tier(const Config& config, Fleet& fleet, const std::string& name);

struct Question {
    std::size_t tier = 0;  // of those that the asker has
    const GoldenCase* about = nullptr;
    ChatRequest chat;
};

struct Said {
    std::string text;
    std::optional<Error> failure;
    std::string left_out;  // why it may not go there; then there is neither text nor failure
    Money cost;            // of all attempts
    std::int64_t duration_ms = 0;
};

struct AskLimits {
    int parallel = 4;
    std::optional<Money> spend_max;  // of all that this asker asks
};

class Asker {
public:
    Asker(Gateway& gateway, Seat& seat, net::io_context& io, std::vector<AskedTier> tiers,
          AskLimits limits);

    // Answers in the questions' order. `done` is called after each.
    std::vector<Said> ask_all(const std::vector<Question>& questions,
                              const std::function<void(std::size_t done)>& progress);
    // Cuts what is under way and asks no more: what is left fails with `cancelled`.
    void stop();

    // Between calls of ask_all(): whether a signal has come since.
    bool stop_asked();

    const std::vector<AskedTier>& tiers() const { return tiers_; }
    bool stopped() const { return stopped_; }
    std::size_t not_booked() const { return not_booked_; }  // answers whose rows are not on record

private:
    struct Limit;
    net::awaitable<void> work(const std::vector<Question>& questions, std::vector<Said>& said,
                              const std::function<void(std::size_t)>& progress);
    net::awaitable<Said> ask(const Question& question);
    net::awaitable<void> ask_once(const Question& question, Clock::time_point until, Said& said);
    net::awaitable<void> answer(Walk& walk, Clock::time_point until, Said& said);
    Status prepare(const Question& question, Walk& walk, Said& said);
    Status hold(const Walk& walk, Money& held) const;

    Gateway& gateway_;
    Seat& seat_;
    net::io_context& io_;
    std::vector<AskedTier> tiers_;
    AskLimits limits_;
    std::size_t next_ = 0, done_ = 0;
    std::size_t not_booked_ = 0;
    std::uint64_t asked_ = 0;
    Money spent_, held_;
    bool stopped_ = false;
    std::vector<std::weak_ptr<Limit>> under_way_;
};

}  // namespace sluice
