#include "gateway/ledger_queue.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace sluice {

bool LedgerBatch::claim() {
    State expected = State::waiting;
    return state_.compare_exchange_strong(expected, State::claimed);
}

void LedgerBatch::release() {
    state_.store(State::told);
    state_.notify_all();
}

void LedgerBatch::leave() {
    timer = nullptr;
    State expected = State::waiting;
    if (state_.compare_exchange_strong(expected, State::gone)) return;
    state_.wait(State::claimed);
}

LedgerQueue::LedgerQueue() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

LedgerQueue::~LedgerQueue() {
    std::deque<LedgerBatchPtr> left;
    take(left);
    ::close(event_);
}

void LedgerQueue::push(LedgerBatchPtr batch) {
    LedgerBatch* fresh = batch.get();
    fresh->self_ = std::move(batch);
    fresh->next_ = head_.load();
    while (!head_.compare_exchange_weak(fresh->next_, fresh)) {
    }
    wake();
}

void LedgerQueue::close() {
    closed_.store(true);
    wake();
}

void LedgerQueue::take(std::deque<LedgerBatchPtr>& out) {
    LedgerBatch* newest_first = head_.exchange(nullptr);
    LedgerBatch* oldest_first = nullptr;
    while (newest_first != nullptr) {
        LedgerBatch* batch = std::exchange(newest_first, newest_first->next_);
        batch->next_ = std::exchange(oldest_first, batch);
    }
    while (oldest_first != nullptr) {
        LedgerBatch* batch = std::exchange(oldest_first, oldest_first->next_);
        out.push_back(std::move(batch->self_));
    }
}

void LedgerQueue::wait() {
    sleep(-1, [this] { return closed() || head_.load() != nullptr; });
}

void LedgerQueue::wait_closed(std::chrono::milliseconds limit) {
    using Clock = std::chrono::steady_clock;
    const bool before = closed();
    auto until = Clock::now() + limit;
    for (;;) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
        if (left.count() <= 0 || closed() != before) return;
        sleep(static_cast<int>(left.count()), [&] { return closed() != before; });
    }
}

// All of it is sequentially consistent: who pushes sees asleep_, or `awake` sees the push.
template <class Awake>
void LedgerQueue::sleep(int limit_ms, Awake&& awake) {
    asleep_.store(true);
    if (!awake()) {
        pollfd event{event_, POLLIN, 0};
        ::poll(&event, 1, limit_ms);
    }
    asleep_.store(false);
    std::uint64_t count = 0;
    [[maybe_unused]] auto drained = ::read(event_, &count, sizeof count);
}

void LedgerQueue::wake() {
    if (!asleep_.load() || !asleep_.exchange(false)) return;
    std::uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(event_, &one, sizeof one);
}

}  // namespace sluice
