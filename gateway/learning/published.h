// An immutable snapshot that one thread replaces and many read: a copy of the pointer under a flag
// that is held for a few instructions. (libstdc++ 12's atomic<shared_ptr> does the same with a
// weaker order than the thread sanitizer accepts.)
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

namespace sluice {

template <class T>
class Published {
public:
    std::shared_ptr<const T> load() const {
        hold();
        std::shared_ptr<const T> out = now_;
        busy_.store(false, std::memory_order_release);
        return out;
    }
    void store(std::shared_ptr<const T> next) {
        hold();
        now_.swap(next);
        busy_.store(false, std::memory_order_release);
    }

private:
    void hold() const {
        while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    }
    mutable std::atomic<bool> busy_{false};
    std::shared_ptr<const T> now_;
};

}  // namespace sluice
