#include "gateway/budgets.h"

#include <string>

namespace sluice {

Hold::~Hold() {
    if (budgets_ == nullptr) return;
    budgets_->in_flight_.fetch_sub(1, std::memory_order_relaxed);
    budgets_->held_pico_usd_.fetch_sub(ceiling_.pico_usd, std::memory_order_relaxed);
}

Result<Hold> Budgets::admit(Money ceiling, int requests_max) {
    int before = in_flight_.fetch_add(1, std::memory_order_relaxed);
    if (before >= requests_max) {
        in_flight_.fetch_sub(1, std::memory_order_relaxed);
        Error full(Errc::overloaded, std::to_string(before) +
                                         " requests are in flight, the limit is " +
                                         std::to_string(requests_max) + ": try again shortly");
        full.retry_after_ms = 1'000;
        return full;
    }
    held_pico_usd_.fetch_add(ceiling.pico_usd, std::memory_order_relaxed);
    return Hold(*this, ceiling);
}

Money Budgets::held() const { return Money{held_pico_usd_.load(std::memory_order_relaxed)}; }

}  // namespace sluice
