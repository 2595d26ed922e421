// The upstreams of one gateway as they are now: who is up, the embedded engine, and the walk over
// a route's attempts. Fallback lives only here.
//
// Threads: a Seat belongs to one io thread. Health is shared by all io threads (atomics).
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "gateway/budgets.h"
#include "gateway/config.h"
#include "gateway/delta_stream.h"
#include "gateway/recent_median.h"
#include "gateway/transport.h"
#include "policies/route.h"
#include "providers/local/local_provider.h"

namespace sluice {

using Clock = std::chrono::steady_clock;

// Whether an upstream should be called now. After a 429 it rests for the time the vendor asked
// (1 s where it named none, 60 s at most); after 3 failures in a row for 1 s, doubling to 60 s.
class Health {
public:
    void succeeded();
    void failed(const Error& error, Clock::time_point now);
    bool up(Clock::time_point now) const;
    std::string_view why_down() const;
    // Seconds of a stream that has ended well; medians of the last ones, 0 = none of late.
    void took(double first_token_s, double token_s, Clock::time_point now) {
        first_token_s_.add(first_token_s, now);
        token_s_.add(token_s, now);
    }
    double first_token_s(Clock::time_point now) const { return first_token_s_.value(now); }
    double token_s(Clock::time_point now) const { return token_s_.value(now); }

private:
    std::atomic<std::int64_t> down_until_ns_{0};
    std::atomic<int> failures_{0};
    std::atomic<Errc> last_{Errc::internal};
    RecentMedian first_token_s_;
    RecentMedian token_s_;
};

// What a request keeps from its beginning to its end.
struct Snapshot {
    ConfigPtr config;
    std::vector<Health*> health;  // parallel to config->upstreams
    BudgetAccounts accounts;      // parallel to config->budgets.budgets, or empty
    BudgetView budgets() const { return {config->budgets, accounts}; }
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;
// Of one of the snapshot's own upstreams.
Health& health_of(const Snapshot& snapshot, const Upstream& upstream);

// What one io thread has for itself.
struct Seat {
    explicit Seat(net::io_context& io);
    Transport& transport_to(const Upstream& upstream);
    net::any_io_executor executor;
    std::unique_ptr<Transport> plain;  // http
    std::unique_ptr<Transport> curl;   // https
    SnapshotPtr snapshot;
};

// One attempt that was made, however it ended.
struct Tried {
    const Upstream* upstream = nullptr;
    std::string tier;
    std::string outcome = "ok";  // or errc_name of the error that ended it
    std::string message;         // of the error; never the prompt or the key
    Usage usage;
    bool usage_missing = false;
    std::int64_t started_unix_ms = 0;
    Clock::time_point started;
    std::int64_t first_token_us = 0;  // from the attempt's start; 0 = none
    std::int64_t duration_us = 0;
};

struct Opened {
    std::unique_ptr<const ChatRequest> request;  // where the policy changed it for this attempt
    std::unique_ptr<DeltaStream> stream;
    Delta first;  // the first piece of the answer; the whole answer when it was not to be streamed
    Tried tried;  // this attempt, still under way
};

class Fleet {
public:
    // Opens the embedded engine if the config has one. `later`: on a thread of its own, again and
    // again until it is open; what that says is logged, and its upstream is down meanwhile.
    static Result<std::unique_ptr<Fleet>> open(const Config& config, bool later = false);
    ~Fleet();  // ends the wait for the engine, not its opening

    // Any thread: a snapshot of this config with the health of its upstreams.
    SnapshotPtr snapshot(ConfigPtr config, BudgetAccounts accounts = {});
    // With engine_now(), the engine's own upstream is as its queue is at this moment.
    static std::vector<UpstreamView> view(const Snapshot& snapshot, Clock::time_point now,
                                          const std::optional<Occupancy>& engine = std::nullopt);

    // Walks the route until an attempt has its first piece of answer (all of it when the request
    // is not streamed; how a stream goes on is its reader's to tell the upstream's health).
    // `input_tokens` is our estimate of the prompt. Attempts that failed are
    // appended to `tried`. Errors: the upstream's own rejection; cancelled; or no_upstream /
    // upstream_failed / timed_out / rate_limited naming every attempt.
    net::awaitable<Result<Opened>> open_stream(Seat& seat, const Snapshot& snapshot,
                                               const Route& route, const ChatRequest& request,
                                               const Caller& caller, std::int64_t input_tokens,
                                               Stop& stop, std::vector<Tried>& tried);

    // Puts the engine's window into its upstream's view and, where that matters (counted_prompt.h),
    // the prompt's tokens by the engine's own tokenizer. Takes time in proportion to the prompt
    // then (LocalProvider::count). Nothing while the engine is not open.
    void count_prompt(const Policy& policy, const RouteInput& input,
                      std::vector<UpstreamView>& views) const;

    // Nothing without an engine; down and without pages until it is open.
    std::optional<Occupancy> engine_now() const;
    // Which chat template its model has, and what its makers ask for in vain; nothing before it is
    // open. `later` does so itself.
    void log_model() const;
    bool engine_was_open() const { return open_.load(std::memory_order_acquire); }
    // The device failed, while it worked or as it was opened.
    bool device_lost() const;
    // Whether it can be destroyed soon: not while a device is being opened, which may take minutes.
    bool at_rest() const;

private:
    Status open_engine(const EngineSection& section);
    Status open_engine_safely(const EngineSection& section);
    void open_engine_later(EngineSection section);
    Result<std::unique_ptr<DeltaStream>> open_one(Seat& seat, const Upstream& upstream,
                                                  const ChatRequest& request, const Caller& caller,
                                                  std::int64_t input_tokens, Stop& stop);

    bool has_engine_ = false;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<const LocalProvider> local_;
    std::atomic<bool> open_{false};           // the two above are there and stay as they are
    std::atomic<bool> device_failed_{false};  // when it was tried last, before that
    std::mutex mutex_;                        // of health_, taken at reload only, and of ending_
    std::map<std::string, std::unique_ptr<Health>, std::less<>> health_;
    bool ending_ = false;
    std::condition_variable ends_;
    std::thread opener_;  // last: it uses all the above
};

// Ends an attempt's clocks and notes its error.
void finish_tried(Tried& tried, const Error* error, Clock::time_point now);

// Adds a piece to what came before it; the piece's finish, usage and last replace.
void append_delta(Delta& whole, Delta&& piece);

}  // namespace sluice
