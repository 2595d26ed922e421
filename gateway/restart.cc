#include "gateway/restart.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "engine/log.h"
#include "gateway/golden_gate.h"
#include "gateway/utc_text.h"

namespace sluice {
LostDevice::LostDevice(std::optional<Clock::time_point> restarted, int in_vain) {
    if (restarted) not_before_ = *restarted + apart * (1 << std::clamp(in_vain, 0, doublings_max));
}

bool LostDevice::restart_due(bool lost, Clock::time_point now) {
    if (!lost) {
        since_.reset();
        return false;
    }
    if (!since_) since_ = now;
    if (now - *since_ < lost_for || (not_before_ && now < *not_before_)) return false;
    since_ = now;
    return true;
}

Restart::Restart(boost::asio::io_context& main, LostDevice lost, Parts parts)
    : main_(main), asked_(main, SIGUSR2), look_(main), lost_(lost), parts_(std::move(parts)) {
    wait_for_signal();
    watch_device();
}

void Restart::wait_for_signal() {
    asked_.async_wait([this](const boost::system::error_code& error, int) {
        if (error) return;
        restart("SIGUSR2");
        wait_for_signal();
    });
}

void Restart::watch_device() {
    look_.expires_after(std::chrono::seconds(1));
    look_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        ConfigPtr config = parts_.live();
        bool may = config->engine && config->engine->restart_when_lost;
        if (lost_.restart_due(parts_.device_lost(), LostDevice::Clock::now()) && may)
            restart("the engine's device is lost");
        watch_device();
    });
}

Status Restart::may_begin() const {
    ConfigPtr now = parts_.live();
    auto next = load_config(now->file, today_utc());
    if (!next) return next.error();
    if (std::string lost = newly_lost(*now, **next); !lost.empty())
        return Error(Errc::bad_config, lost);
    if (Status gate = golden_gate(**next, now.get()); !gate) return gate;
    return parts_.can_begin(**next);
}

void Restart::restart(std::string_view why) {
    if (wanted_) return;
    Status ready = may_begin();
    if (!ready)
        return log_error("restart_refused", {{"why", why}, {"faults", ready.error().message}});
    log_info("restarting", {{"why", why}});
    wanted_ = true;
    main_.stop();
}

}  // namespace sluice
