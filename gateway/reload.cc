#include "gateway/reload.h"

#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <csignal>

#include "engine/log.h"

namespace sluice {

Reload::Reload(boost::asio::io_context& main, ConfigPtr now, std::function<void(ConfigPtr)> install,
               Metrics& metrics)
    : hangup_(main, SIGHUP),
      look_(main),
      now_(std::move(now)),
      watched_(now_->files),
      seen_(stamps(watched_)),
      date_(today_utc()),
      install_(std::move(install)),
      metrics_(metrics) {
    wait_for_signal();
    wait_for_change();
}

void Reload::wait_for_signal() {
    hangup_.async_wait([this](boost::system::error_code failed, int) {
        if (failed) return;
        reload("SIGHUP");
        wait_for_signal();
    });
}

void Reload::wait_for_change() {
    look_.expires_after(std::chrono::seconds(1));
    look_.async_wait([this](boost::system::error_code failed) {
        if (failed) return;
        if (stamps(watched_) != seen_)
            reload("file change");
        else if (today_utc() != date_)  // another day: other prices may be in force
            reload("new day");
        wait_for_change();
    });
}

// Modification time, size and inode of each file: an editor's rename changes the inode.
std::vector<std::int64_t> Reload::stamps(const std::vector<std::string>& files) {
    std::vector<std::int64_t> out;
    for (const std::string& file : files) {
        struct stat facts {};
        bool there = ::stat(file.c_str(), &facts) == 0;
        out.push_back(there ? facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec : -1);
        out.push_back(there ? static_cast<std::int64_t>(facts.st_size) : -1);
        out.push_back(there ? static_cast<std::int64_t>(facts.st_ino) : -1);
    }
    return out;
}

void Reload::reload(std::string_view why) {
    date_ = today_utc();
    seen_ = stamps(watched_);  // taken before reading: a write in between is seen next time
    auto next = load_config(now_->file, date_);
    std::string fault;
    if (!next) {
        fault = next.error().message;
    } else if (std::string key = needs_restart(*now_, **next); !key.empty()) {
        fault = "'" + key + "' changed: that takes effect at a restart only; nothing was changed";
    }
    metrics_.count_reload(fault.empty());
    if (!fault.empty()) {
        log_error("reload_refused", {{"why", why}, {"faults", fault}});
        return;
    }
    now_ = *next;
    if (watched_ != now_->files) {
        watched_ = now_->files;
        seen_ = stamps(watched_);
    }
    install_(now_);
    log_info("reloaded", {{"why", why}, {"policy_version", now_->policy.version}});
}

}  // namespace sluice
