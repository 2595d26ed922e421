#include "gateway/ledger.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <thread>

#include "engine/log.h"
#include "gateway/ledger_queue.h"
#include "gateway/stores/sqlite.h"

namespace sluice {
namespace {

constexpr auto retry_wait_max = std::chrono::milliseconds(1'000);
constexpr auto retry_wait_min = std::chrono::milliseconds(20);
constexpr auto closing_tries_max = 5;

// Ends the waiting when the coroutine's frame goes, however it goes.
class Waiting {
public:
    Waiting(LedgerBatch& batch, net::steady_timer& timer) : batch_(batch) { batch.timer = &timer; }
    ~Waiting() { batch_.leave(); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

private:
    LedgerBatch& batch_;
};

class SqliteLedger final : public Ledger {
public:
    SqliteLedger(std::unique_ptr<SqliteStore> store, LedgerOptions options)
        : store_(std::move(store)), options_(std::move(options)) {}

    ~SqliteLedger() override {
        queue_.close();
        if (thread_.joinable()) thread_.join();
    }

    bool start() {
        if (!queue_.ready()) return false;
        thread_ = std::thread([this] { run(); });
        return true;
    }

    net::awaitable<Status> append(std::vector<LedgerEntry> entries) override {
        auto executor = co_await net::this_coro::executor;
        auto batch = std::make_shared<LedgerBatch>(std::move(entries), executor);
        co_return co_await append_batch(batch);
    }

    net::awaitable<Status> append(Outcome outcome) override {
        auto executor = co_await net::this_coro::executor;
        std::vector<LedgerEntry> none;
        auto batch = std::make_shared<LedgerBatch>(std::move(none), executor);
        batch->outcomes.push_back(std::move(outcome));
        co_return co_await append_batch(batch);
    }

    bool healthy() const override {
        bool room = queued() < static_cast<std::size_t>(options_.queue_entries_max);
        return room && !failing_.load(std::memory_order_relaxed);
    }
    std::size_t queued() const override { return queued_.load(std::memory_order_relaxed); }

private:
    net::awaitable<Status> append_batch(LedgerBatchPtr batch) {
        net::steady_timer timer(batch->executor,
                                std::chrono::milliseconds(options_.append_wait_ms_max));
        Waiting waiting(*batch, timer);
        queued_.fetch_add(rows_of(*batch), std::memory_order_relaxed);
        queue_.push(batch);
        co_await timer.async_wait(net::as_tuple(net::use_awaitable));
        if (!batch->committed)
            co_return Error(Errc::overloaded, "the ledger did not take the row within " +
                                                  std::to_string(options_.append_wait_ms_max) +
                                                  " ms; it is kept and tried again");
        co_return Done{};
    }

    static std::size_t rows_of(const LedgerBatch& batch) {
        return batch.entries.size() + batch.outcomes.size();
    }

    // The ledger thread. As a batch thread it does not cut in on an io thread of its core at every
    // row: it runs when that waits, and then commits all rows that have come.
    void run() {
        sched_param none = {};
        ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none);
        ::pthread_setname_np(::pthread_self(), "ledger");
        while (take()) {
            if (!commit()) return;
            queued_.fetch_sub(rows_.size() + outcomes_.size(), std::memory_order_relaxed);
            tell(group_);
            group_.clear();
            rows_.clear();
            outcomes_.clear();
        }
    }

    // Waits for rows: the oldest batches, up to commit_rows_max rows. False at the end.
    bool take() {
        while (waiting_.empty()) {
            bool closed = queue_.closed();  // before looking: nothing is pushed after it
            queue_.take(waiting_);
            if (!waiting_.empty()) break;
            if (closed) return false;
            queue_.wait();
        }
        auto rows_max = static_cast<std::size_t>(options_.commit_rows_max);
        while (!waiting_.empty() && rows_.size() + outcomes_.size() < rows_max) {
            group_.push_back(std::move(waiting_.front()));
            waiting_.pop_front();
            for (const LedgerEntry& entry : group_.back()->entries) rows_.push_back(&entry);
            for (const Outcome& one : group_.back()->outcomes) outcomes_.push_back(&one);
        }
        return true;
    }

    // Tries until the rows are committed. False when the process ends before that: then they are
    // in the log, so that none is lost.
    bool commit() {
        auto wait = retry_wait_min;
        int tries_closing = 0;
        for (;;) {
            Status written = store_->write(rows_, outcomes_);
            if (written) {
                if (failing_.exchange(false))
                    log_info("ledger_recovered", {{"rows", rows_.size()}});
                return true;
            }
            if (!failing_.exchange(true))
                log_error("ledger_failing", {{"message", written.error().message}});
            queue_.wait_closed(wait);
            wait = std::min(wait * 2, retry_wait_max);
            if (queue_.closed() && ++tries_closing >= closing_tries_max) {
                log_unwritten();
                return false;
            }
        }
    }

    // At the end only.
    void log_unwritten() {
        queue_.take(waiting_);
        for (const LedgerEntry* row : rows_) log_row(*row);
        for (const LedgerBatchPtr& batch : waiting_)
            for (const LedgerEntry& row : batch->entries) log_row(row);
    }

    static void log_row(const LedgerEntry& row) {
        log_error("ledger_row_unwritten", {{"request_id", row.request_id},
                                           {"attempt", row.attempt},
                                           {"started_unix_ms", row.started_unix_ms},
                                           {"team", row.caller.team},
                                           {"key_id", row.caller.key_id},
                                           {"tier", row.tier},
                                           {"upstream", row.upstream},
                                           {"model", row.model},
                                           {"outcome", row.outcome},
                                           {"in_uncached", row.usage.in_uncached},
                                           {"in_cache_read", row.usage.in_cache_read},
                                           {"in_cache_write", row.usage.in_cache_write},
                                           {"in_cache_write_1h", row.usage.in_cache_write_1h},
                                           {"out_text", row.usage.out_text},
                                           {"out_reasoning", row.usage.out_reasoning},
                                           {"cost_pico_usd", row.cost.pico_usd},
                                           {"baseline_pico_usd", row.baseline.pico_usd}});
    }

    // One message to each io thread, however many of its requests were committed. The rows go back
    // with it: memory is freed cheapest where it was taken.
    static void tell(std::vector<LedgerBatchPtr>& group) {
        std::vector<std::vector<LedgerBatchPtr>> threads;
        for (LedgerBatchPtr& batch : group) {
            auto same = std::find_if(threads.begin(), threads.end(), [&](const auto& batches) {
                return batches[0]->executor == batch->executor;
            });
            if (same == threads.end()) same = threads.emplace(threads.end());
            same->push_back(std::move(batch));
        }
        for (auto& batches : threads) post_committed(std::move(batches));
    }

    // To the io thread of these batches, while one of its frames still waits and so keeps it.
    static void post_committed(std::vector<LedgerBatchPtr> batches) {
        auto keeps = [](const LedgerBatchPtr& batch) { return batch->claim(); };
        auto found = std::find_if(batches.begin(), batches.end(), keeps);
        if (found == batches.end()) return;
        LedgerBatchPtr keeper = *found;
        net::post(keeper->executor, [batches = std::move(batches)] {
            for (const LedgerBatchPtr& batch : batches) {
                if (batch->timer == nullptr) continue;
                batch->committed = true;
                batch->timer->cancel();
            }
        });
        keeper->release();
    }

    std::unique_ptr<SqliteStore> store_;
    LedgerOptions options_;
    LedgerQueue queue_;
    std::atomic<bool> failing_{false};
    std::atomic<std::size_t> queued_{0};
    std::thread thread_;
    // The ledger thread's:
    std::deque<LedgerBatchPtr> waiting_;    // taken from the queue
    std::vector<LedgerBatchPtr> group_;     // being committed
    std::vector<const LedgerEntry*> rows_;  // of group_
    std::vector<const Outcome*> outcomes_;  // likewise
};

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const LedgerOptions& options) {
    auto path = sqlite_path(options.url);
    if (!path) return path.error();
    auto store = SqliteStore::open(*path);
    if (!store) return store.error();
    auto ledger = std::make_unique<SqliteLedger>(std::move(*store), options);
    if (!ledger->start())
        return Error(Errc::bad_file, "ledger " + *path + ": the process may open no more files");
    return std::unique_ptr<Ledger>(std::move(ledger));
}

}  // namespace sluice
