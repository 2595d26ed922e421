#include "gateway/ledger.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "engine/log.h"
#include "gateway/stores/sqlite.h"

namespace sluice {
namespace {

constexpr auto retry_wait_max = std::chrono::milliseconds(1'000);
constexpr auto retry_wait_min = std::chrono::milliseconds(20);
constexpr auto closing_tries_max = 5;

// Who waits for a batch's commit. The timer is on the appending coroutine's frame: once that has
// gone, its io_context may go too, and nothing may be posted there.
struct Waiter {
    explicit Waiter(net::steady_timer& timer_in)
        : executor(timer_in.get_executor()), timer(&timer_in) {}
    const net::any_io_executor executor;
    std::mutex mutex;          // of timer; the ledger's thread posts while it holds it
    net::steady_timer* timer;  // null once the frame has gone; written on the io thread only
    bool committed = false;    // the io thread's
};

// Ends the waiting when the coroutine's frame goes, however it goes.
class Waiting {
public:
    explicit Waiting(Waiter& waiter) : waiter_(waiter) {}
    ~Waiting() {
        std::lock_guard lock(waiter_.mutex);
        waiter_.timer = nullptr;
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

private:
    Waiter& waiter_;
};

struct Batch {
    std::vector<LedgerEntry> entries;
    std::shared_ptr<Waiter> waiter;
};

class SqliteLedger final : public Ledger {
public:
    SqliteLedger(std::unique_ptr<SqliteStore> store, LedgerOptions options)
        : store_(std::move(store)), options_(std::move(options)), thread_([this] { run(); }) {}

    ~SqliteLedger() override {
        {
            std::lock_guard lock(mutex_);
            closing_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

    net::awaitable<Status> append(std::vector<LedgerEntry> entries) override {
        net::steady_timer timer(co_await net::this_coro::executor);
        timer.expires_after(std::chrono::milliseconds(options_.append_wait_ms_max));
        auto waiter = std::make_shared<Waiter>(timer);
        Waiting waiting(*waiter);
        push(std::move(entries), waiter);
        co_await timer.async_wait(net::as_tuple(net::use_awaitable));
        if (!waiter->committed)
            co_return Error(Errc::overloaded, "the ledger did not take the row within " +
                                                  std::to_string(options_.append_wait_ms_max) +
                                                  " ms; it is kept and tried again");
        co_return Done{};
    }

    bool healthy() const override {
        bool room = queued() < static_cast<std::size_t>(options_.queue_entries_max);
        return room && !failing_.load(std::memory_order_relaxed);
    }
    std::size_t queued() const override { return queued_.load(std::memory_order_relaxed); }

private:
    void push(std::vector<LedgerEntry> entries, std::shared_ptr<Waiter> waiter) {
        queued_.fetch_add(entries.size(), std::memory_order_relaxed);
        bool was_empty = false;
        {
            std::lock_guard lock(mutex_);
            was_empty = queue_.empty();
            queue_.push_back(Batch{std::move(entries), std::move(waiter)});
        }
        if (was_empty) wake_.notify_one();
    }

    // The ledger thread. As a batch thread it does not cut in on an io thread of its core at every
    // row: it runs when that waits, and then commits all rows that have come.
    void run() {
        sched_param none = {};
        ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none);
        ::pthread_setname_np(::pthread_self(), "ledger");
        std::vector<Batch> group;
        std::vector<const LedgerEntry*> rows;
        while (take(group, rows)) {
            if (!commit(rows)) return;
            queued_.fetch_sub(rows.size(), std::memory_order_relaxed);
            tell(group);
            group.clear();
            rows.clear();
        }
    }

    // Waits for rows; all that are there up to commit_rows_max. False at the end.
    bool take(std::vector<Batch>& group, std::vector<const LedgerEntry*>& rows) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return closing_ || !queue_.empty(); });
        auto rows_max = static_cast<std::size_t>(options_.commit_rows_max);
        while (!queue_.empty() && rows.size() < rows_max) {
            group.push_back(std::move(queue_.front()));
            queue_.pop_front();
            for (const LedgerEntry& entry : group.back().entries) rows.push_back(&entry);
        }
        return !rows.empty() || !closing_;
    }

    // Tries until the rows are committed. False when the process ends before that: then they are
    // in the log, so that none is lost.
    bool commit(const std::vector<const LedgerEntry*>& rows) {
        auto wait = retry_wait_min;
        int tries_closing = 0;
        for (;;) {
            Status written = store_->write(rows);
            if (written) {
                if (failing_.exchange(false)) log_info("ledger_recovered", {{"rows", rows.size()}});
                return true;
            }
            if (!failing_.exchange(true))
                log_error("ledger_failing", {{"message", written.error().message}});
            std::unique_lock lock(mutex_);
            bool closing = wake_.wait_for(lock, wait, [&] { return closing_; });
            wait = std::min(wait * 2, retry_wait_max);
            if (closing && ++tries_closing >= closing_tries_max) {
                log_unwritten(rows);
                return false;
            }
        }
    }

    // Called with mutex_ held, at the end only.
    void log_unwritten(const std::vector<const LedgerEntry*>& rows) {
        for (const LedgerEntry* row : rows) log_row(*row);
        for (const Batch& batch : queue_)
            for (const LedgerEntry& row : batch.entries) log_row(row);
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
    static void tell(std::vector<Batch>& group) {
        std::vector<std::vector<Batch>> threads;
        for (Batch& batch : group) {
            auto same = std::find_if(threads.begin(), threads.end(), [&](const auto& batches) {
                return batches[0].waiter->executor == batch.waiter->executor;
            });
            if (same == threads.end()) same = threads.emplace(threads.end());
            same->push_back(std::move(batch));
        }
        for (auto& batches : threads) post_committed(std::move(batches));
    }

    // To the io thread of these batches, while one of its frames still waits and so keeps it.
    static void post_committed(std::vector<Batch> batches) {
        for (std::size_t i = 0; i < batches.size(); ++i) {
            std::shared_ptr<Waiter> keeper = batches[i].waiter;
            std::lock_guard lock(keeper->mutex);
            if (keeper->timer == nullptr) continue;
            net::post(keeper->executor, [batches = std::move(batches)] {
                for (const Batch& batch : batches) {
                    if (batch.waiter->timer == nullptr) continue;
                    batch.waiter->committed = true;
                    batch.waiter->timer->cancel();
                }
            });
            return;
        }
    }

    std::unique_ptr<SqliteStore> store_;
    LedgerOptions options_;
    std::mutex mutex_;  // of queue_ and closing_
    std::condition_variable wake_;
    std::deque<Batch> queue_;
    bool closing_ = false;
    std::atomic<bool> failing_{false};
    std::atomic<std::size_t> queued_{0};
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const LedgerOptions& options) {
    auto path = sqlite_path(options.url);
    if (!path) return path.error();
    auto store = SqliteStore::open(*path);
    if (!store) return store.error();
    return std::unique_ptr<Ledger>(std::make_unique<SqliteLedger>(std::move(*store), options));
}

}  // namespace sluice
