// What io threads hand to the ledger's thread, and how they hear back. Many push, one takes.
//
// No lock, since a push is on the path of every request: a linked stack that the taker takes whole
// and turns round. A push makes a system call only when the taker sleeps. The queue has no limit of
// its own: Ledger::healthy() bounds what comes, and no row may be dropped.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "gateway/ledger.h"

namespace sluice {

// The rows of one request. The coroutine that waits for their commit may leave first, at its
// deadline or with its io_context, and then nothing may be posted to that.
class LedgerBatch {
public:
    LedgerBatch(std::vector<LedgerEntry> rows, net::any_io_executor io)
        : entries(std::move(rows)), executor(std::move(io)) {}

    std::vector<LedgerEntry> entries;
    std::vector<Outcome> outcomes;
    const net::any_io_executor executor;
    net::steady_timer* timer = nullptr;  // the io thread's: null once nobody waits
    bool committed = false;              // the io thread's

    // The ledger's thread: true when the executor will be there until release().
    bool claim();
    void release();
    // The io thread: nobody waits any more. Waits for a claim to end, which lasts one post.
    void leave();

private:
    friend class LedgerQueue;
    enum class State { waiting, claimed, told, gone };
    std::atomic<State> state_{State::waiting};
    LedgerBatch* next_ = nullptr;
    std::shared_ptr<LedgerBatch> self_;  // while queued
};

using LedgerBatchPtr = std::shared_ptr<LedgerBatch>;

class LedgerQueue {
public:
    LedgerQueue();
    ~LedgerQueue();
    LedgerQueue(const LedgerQueue&) = delete;
    LedgerQueue& operator=(const LedgerQueue&) = delete;
    bool ready() const { return event_ >= 0; }  // false: the process is out of descriptors

    void push(LedgerBatchPtr batch);
    void close();  // after the last push
    bool closed() const { return closed_.load(); }

    // The taker: appends what was pushed to `out`, oldest first.
    void take(std::deque<LedgerBatchPtr>& out);
    // Sleeps until something is pushed or the queue is closed.
    void wait();
    // Sleeps that long, or until the queue is closed if it is not yet.
    void wait_closed(std::chrono::milliseconds limit);

private:
    template <class Awake>
    void sleep(int limit_ms, Awake&& awake);
    void wake();

    std::atomic<LedgerBatch*> head_{nullptr};  // the newest
    std::atomic<bool> closed_{false};
    std::atomic<bool> asleep_{false};
    int event_;  // eventfd
};

}  // namespace sluice
