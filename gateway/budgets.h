// What may be promised at once. admit() reserves a request's worst case before any upstream is
// called; the Hold gives it back when it is destroyed, however the request ends.
// Shared by all io threads (atomics).
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "engine/result.h"
#include "providers/caller.h"

namespace sluice {

class Budgets;

// A reserved part: one request in flight and its ceiling in money.
class Hold {
public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : budgets_(std::exchange(other.budgets_, nullptr)), ceiling_(other.ceiling_) {}
    Hold& operator=(Hold&& other) noexcept {
        std::swap(budgets_, other.budgets_);
        std::swap(ceiling_, other.ceiling_);
        return *this;
    }
    ~Hold();
    Money ceiling() const { return ceiling_; }

private:
    friend class Budgets;
    Hold(Budgets& budgets, Money ceiling) : budgets_(&budgets), ceiling_(ceiling) {}
    Budgets* budgets_ = nullptr;
    Money ceiling_;
};

class Budgets {
public:
    // Errors: overloaded (requests_max in flight).
    Result<Hold> admit(Money ceiling, int requests_max);
    int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
    Money held() const;

private:
    friend class Hold;
    std::atomic<int> in_flight_{0};
    std::atomic<std::int64_t> held_pico_usd_{0};
};

}  // namespace sluice
