#include "gateway/restart.h"

#include <csignal>
#include <utility>

#include "engine/log.h"
#include "gateway/golden_gate.h"
#include "gateway/utc_text.h"

namespace sluice {
namespace {

Status may_begin(const Config& now) {
    auto next = load_config(now.file, today_utc());
    if (!next) return next.error();
    return golden_gate(**next, &now);
}

}  // namespace

bool LostDevice::restart_due(const std::optional<Occupancy>& engine, Clock::time_point now) {
    bool lost = engine && !engine->up && engine->kv_pages_total > 0;
    if (!lost) {
        since_.reset();
        return false;
    }
    if (!since_) since_ = now;
    if (now - *since_ < lost_for || (restarted_ && now - *restarted_ < apart)) return false;
    since_ = now;
    return true;
}

Restart::Restart(boost::asio::io_context& main, bool restarted, std::function<ConfigPtr()> live,
                 std::function<std::optional<Occupancy>()> engine)
    : main_(main),
      asked_(main, SIGUSR2),
      look_(main),
      live_(std::move(live)),
      engine_(std::move(engine)),
      lost_(restarted ? std::optional(LostDevice::Clock::now()) : std::nullopt) {
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
        ConfigPtr config = live_();
        bool may = config->engine && config->engine->restart_when_lost;
        if (lost_.restart_due(engine_(), LostDevice::Clock::now()) && may)
            restart("the engine's device is lost");
        watch_device();
    });
}

void Restart::restart(std::string_view why) {
    if (wanted_) return;
    Status ready = may_begin(*live_());
    if (!ready)
        return log_error("restart_refused", {{"why", why}, {"faults", ready.error().message}});
    log_info("restarting", {{"why", why}});
    wanted_ = true;
    main_.stop();
}

}  // namespace sluice
