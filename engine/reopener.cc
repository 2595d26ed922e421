#include "engine/reopener.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice {
namespace {

constexpr std::chrono::milliseconds wait_max = std::chrono::minutes(1);
// A device that has worked so long is opened again as if it had never been lost.
constexpr std::chrono::minutes sound_after{5};

}  // namespace

Reopener::Reopener(Reopening reopening, const DeviceInfo& first)
    : reopening_(std::move(reopening)), first_(first), wait_(reopening_.first_wait) {}

void Reopener::lost(Clock::time_point now) {
    if (now - opened_ > sound_after) wait_ = reopening_.first_wait;
    next_try_ = now + wait_;
}

Result<std::unique_ptr<Device>> Reopener::open() {
    auto device = reopening_.open();
    opened_ = Clock::now();
    wait_ = std::min(2 * wait_, wait_max);
    next_try_ = opened_ + wait_;
    if (!device) return device;
    const DeviceInfo& info = (*device)->info();
    if (info.swap_pages < first_.swap_pages)
        return Error(Errc::device_failed,
                     "the host has swap room for " + std::to_string(info.swap_pages) +
                         " pages where it had " + std::to_string(first_.swap_pages));
    if (info.pages < first_.pages || info.page_tokens != first_.page_tokens)
        return Error(Errc::device_failed, "the device has room for " + std::to_string(info.pages) +
                                              " pages where it had " +
                                              std::to_string(first_.pages));
    return device;
}

}  // namespace sluice
