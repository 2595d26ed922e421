// Shadow answers: for a share of the answers that a policy names, the next dearer tier is asked the
// same afterwards, and a judging upstream compares both answers twice, the second time with their
// places swapped. What it says teaches the router what the step up would have added.
//
// The caller never waits for it. Never for requests that an entry of `confine` holds, or whose
// class of data is `restricted`; a tier that the request's own route does not have is neither asked
// nor judges. Paid by its own rows in the ledger, of the caller's org and of team, key and rule
// `shadow`, up to a day's dollars (UTC), of which the worst case is reserved before; the budgets of
// all callers and of the org hold it, too. at_once_max run at once; what comes beyond is dropped
// and counted. Any io thread; each run stays on the one that began it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>

#include "gateway/chat.h"
#include "gateway/walk.h"

namespace sluice {

class Shadow {
public:
    static constexpr int at_once_max = 8;

    struct Counts {
        std::uint64_t started = 0, judged = 0, ties = 0, failed = 0;
        std::uint64_t dropped_busy = 0, dropped_money = 0;
        Money used_today;  // spent, and held by those under way
        Money spent;       // since the start
    };
    Counts counts() const;

    // Whether start() would ask the next tier, so that a stream's text is worth keeping.
    static bool wanted(const Walk& walk);
    // After the answer went out, `answer` being its text.
    void start(Gateway& gateway, Seat& seat, const Walk& walk, const std::string& answer);
    // Cuts what is under way or on its way there and waits for it, at most so long; nothing starts
    // any more. Whether all has ended.
    bool stop(std::chrono::milliseconds limit);

    // What the day had cost already when the process began.
    void restore(std::int64_t day, Money spent);

    // Parts of a run, for gateway/learning/shadow.cc and tests. A place among those at once; false
    // where there is none (counted) or all is stopping.
    bool begin();
    void end();
    // A worst case of the day's money; false where it would pass `limit`.
    bool reserve(std::int64_t day, Money worst, Money limit);
    void settle(std::int64_t day, Money worst, Money cost);

private:
    struct Task;
    class Run;
    static net::awaitable<void> run(Gateway& gateway, Seat& seat, Shadow& shadow, Task task);

    void end(const std::lock_guard<std::mutex>& held);

    mutable std::mutex mutex_;  // of all that follows; no chat request waits for it
    std::condition_variable ended_;
    std::list<Run*> under_way_;
    int begun_ = 0;  // those, and others on their way there: never more than at_once_max
    bool stopping_ = false;
    std::int64_t day_ = 0;
    Money used_;
    Counts counts_;
};

}  // namespace sluice
