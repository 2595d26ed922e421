// What may be promised at once, in requests and in money. admit() reserves a request's worst case
// before any upstream is called, in every budget that covers its caller; settle() turns that into
// what it really cost; a Hold that was not settled gives all of it back when it is destroyed.
//
// Money is exact. A budget is a limit for a window: the day or the month of the configuration's
// time zone in which the request was admitted, or for ever. What is spent outlives the process: it
// is summed from the ledger when an account is opened. Requests in flight at a restart have no row
// and are not in it.
//
// Accounts are shared by all io threads (atomics); opening and prepare() are the main thread's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "providers/caller.h"

namespace sluice {

enum class BudgetOf { all, org, team, key };
enum class BudgetPer { day, month, total };
constexpr std::size_t budgets_max = 10'000;
constexpr std::size_t budgets_covering_max = 12;  // one of each kind and window covers a caller

struct Budget {
    BudgetOf of = BudgetOf::all;
    std::string name;  // of the org, team or key; "" = all callers
    BudgetPer per = BudgetPer::day;
    Money limit;
    std::string scope() const;  // "team:search:day", for metrics
    std::string in_words() const;
    std::string words;  // "team 'search' a day", for people
    bool covers(const Caller& caller) const;
};

// The configuration's section `budgets`.
struct BudgetSection {
    std::int64_t offset_s = 0;  // of its days and months, from UTC
    std::vector<Budget> budgets;
    std::unordered_map<std::string, std::vector<std::uint16_t>> by_key;  // those that cover a key
};

// The number of the window that a moment is in, and the moment at which one begins.
std::int64_t window_at(BudgetPer per, std::int64_t offset_s, std::int64_t unix_seconds);
std::int64_t window_begin(BudgetPer per, std::int64_t offset_s, std::int64_t window);

// One budget's money. Windows lie in a ring, so that none is emptied while somebody counts in it.
class BudgetAccount {
public:
    struct Slot {
        std::atomic<std::int64_t> window{-1};
        std::atomic<std::int64_t> used{0};   // pico-dollars: spent, and held by requests in flight
        std::atomic<std::int64_t> spent{0};  // pico-dollars
        // False, and nothing is reserved, where it would pass the limit.
        bool reserve(std::int64_t pico_usd, std::int64_t limit);
        void release(std::int64_t pico_usd);
        void settle(std::int64_t held_pico_usd, std::int64_t cost_pico_usd);
        // For a window that begins. What is held stays: a clock that jumps has requests under way.
        void begin(std::int64_t spent_pico_usd);
    };
    BudgetAccount(BudgetPer per, std::int64_t offset_s) : per_(per), offset_s_(offset_s) {}
    // What is on record of a window.
    using Count = std::function<Result<Money>(std::int64_t window)>;
    // Makes the windows of this moment and the next one ready, each with what is on record of it:
    // the clock may have been there before. One that could not be counted is not ready, and is
    // tried again at the next call. Errors: the count's.
    Status prepare(std::int64_t unix_seconds, const Count& count);
    Slot* slot(std::int64_t unix_seconds);  // nullptr: not ready, nothing may be reserved

private:
    BudgetPer per_;
    std::int64_t offset_s_;
    std::array<Slot, 4> slots_;
};

using BudgetAccounts = std::vector<BudgetAccount*>;  // parallel to a section's budgets

// A reserved part: one request in flight and its ceiling in money.
class Budgets;
class Hold {
public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept {
        std::swap(budgets_, other.budgets_);
        std::swap(ceiling_, other.ceiling_);
        std::swap(slots_, other.slots_);
        std::swap(count_, other.count_);
        return *this;
    }
    ~Hold();
    Money ceiling() const { return ceiling_; }
    // What it really cost; once. Does nothing without a hold.
    void settle(Money cost);

private:
    friend class Budgets;
    Budgets* budgets_ = nullptr;
    Money ceiling_;
    std::array<BudgetAccount::Slot*, budgets_covering_max> slots_{};
    std::size_t count_ = 0;
};

// What a decision needs of the caller's budgets.
struct BudgetLook {
    double pressure = 0;  // share of the tightest one that is spent
    Money left{INT64_MAX};
    const Budget* tightest = nullptr;  // the one with the least left
};

// One configuration's budgets with their accounts.
struct BudgetView {
    const BudgetSection& section;
    const BudgetAccounts& accounts;  // empty where no account was opened: nothing is limited
    BudgetLook look(const Caller& caller, std::int64_t unix_seconds) const;
};

struct BudgetNow {
    const Budget* budget = nullptr;
    Money spent, held;
};
std::vector<BudgetNow> budgets_now(const BudgetView& view, std::int64_t unix_seconds);

// Adds to an error when the budget's window ends, in words and as the time to wait.
void add_reset(Error& error, const BudgetView& view, const Budget& budget,
               std::int64_t unix_seconds);

class Budgets {
public:
    // What was spent by whom in that time: a clock that went back has spent in days to come.
    struct Spent {
        Caller caller;
        Money cost;
    };
    using ReadSpent = std::function<Result<std::vector<Spent>>(std::int64_t since_unix_ms,
                                                               std::int64_t until_unix_ms)>;

    // The accounts of these budgets: those that were open go on, new ones begin with what `read`
    // says. Others are closed. In two steps for who must do other things between: ready() changes
    // nothing and may fail, take_up() cannot fail.
    struct Next {
        std::vector<std::string> keys;                                 // parallel to the budgets
        std::map<std::string, std::unique_ptr<BudgetAccount>> opened;  // those that are new
    };
    Result<Next> ready(const BudgetSection& section, std::int64_t unix_seconds,
                       const ReadSpent& read) const;
    BudgetAccounts take_up(Next next);
    Result<BudgetAccounts> open(const BudgetSection& section, std::int64_t unix_seconds,
                                const ReadSpent& read);
    // Once a second or so. What new windows begin with, `read` says; while it fails, requests
    // that fall into such a window are refused.
    Status prepare(const BudgetSection& section, std::int64_t unix_seconds, const ReadSpent& read);

    // Errors: overloaded (requests_max in flight), budget_spent.
    Result<Hold> admit(Money ceiling, int requests_max);
    Result<Hold> admit(Money ceiling, int requests_max, const BudgetView& view,
                       const Caller& caller, std::int64_t unix_seconds);
    int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
    Money held() const;

private:
    friend class Hold;
    std::atomic<int> in_flight_{0};
    std::atomic<std::int64_t> held_pico_usd_{0};
    std::map<std::string, std::unique_ptr<BudgetAccount>> accounts_;  // by scope and time zone
    std::vector<std::unique_ptr<BudgetAccount>> closed_;  // requests may still settle in them
};

}  // namespace sluice
