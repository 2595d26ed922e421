// When a lost device is tried again, and whether what opens is the same. The engine thread's alone.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "engine/device.h"
#include "engine/result.h"

namespace sluice {

// How a lost device is opened again; `open` is called on the engine thread, after the lost one is
// gone. The new one must have as many pages, of the same size, and as much swap room. Without
// `open` it is lost for good.
struct Reopening {
    std::function<Result<std::unique_ptr<Device>>()> open;
    std::chrono::milliseconds first_wait{1'000};
};

// After a loss the first try comes after first_wait; each further one, and one after a device that
// was lost again soon, after twice as long, at most a minute.
class Reopener {
public:
    using Clock = std::chrono::steady_clock;

    Reopener(Reopening reopening, const DeviceInfo& first);

    bool possible() const { return static_cast<bool>(reopening_.open); }
    void lost(Clock::time_point now);
    Clock::time_point next_try() const { return next_try_; }  // once lost
    // Errors: what opening said; device_failed where it has less room than the first one.
    Result<std::unique_ptr<Device>> open();

private:
    Reopening reopening_;
    DeviceInfo first_;
    Clock::time_point opened_ = Clock::now();
    Clock::time_point next_try_;
    std::chrono::milliseconds wait_;
};

}  // namespace sluice
