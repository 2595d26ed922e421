#include "gateway/reload.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>

#include "engine/log.h"
#include "gateway/config_notes.h"
#include "gateway/key_file.h"

namespace sluice {
namespace {

// A second's quiet, in looks.
constexpr auto look_every = std::chrono::milliseconds(250);
constexpr int quiet_looks = 4;

Reload::Stamp stamp_of(const std::string& file) {
    struct stat facts {};
    if (::stat(file.c_str(), &facts) != 0) return {};
    return {facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec,
            static_cast<std::int64_t>(facts.st_size), static_cast<std::int64_t>(facts.st_ino)};
}

}  // namespace

Reload::Stamps Reload::stamps(const std::vector<std::string>& files) {
    Stamps out;
    for (const std::string& file : files) out[file] = stamp_of(file);
    return out;
}

Reload::Reload(boost::asio::io_context& main, ConfigPtr now, Stamps seen,
               std::function<Status(ConfigPtr)> install, Metrics& metrics)
    : hangup_(main, SIGHUP),
      look_(main),
      now_(std::move(now)),
      seen_(std::move(seen)),
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
    look_.expires_after(look_every);
    look_.async_wait([this](boost::system::error_code failed) {
        if (failed) return;
        if (settled_on_a_change())
            reload("file change");
        else if (today_utc() != date_)  // another day: other prices may be in force
            reload("new day");
        wait_for_change();
    });
}

bool Reload::settled_on_a_change() {
    Stamps now;
    bool by_hand = false;
    for (const auto& [file, stamp] : seen_) {
        now[file] = stamp_of(file);
        const auto& ours = now_->replaced_whole;
        by_hand = by_hand ||
                  (now[file] != stamp && std::find(ours.begin(), ours.end(), file) == ours.end());
    }
    const bool changed = now != seen_;
    quiet_ = changed && now == changing_ ? quiet_ + 1 : 0;
    changing_ = std::move(now);
    return changed && (!by_hand || quiet_ >= quiet_looks);
}

void Reload::reload(std::string_view why) {
    date_ = today_utc();
    // Taken before reading: a write in between is seen next time.
    for (auto& [file, stamp] : seen_) stamp = stamp_of(file);
    std::vector<std::string> files;
    auto next = load_config(now_->file, date_, &files);
    Stamps read = stamps(files);
    for (auto& [file, stamp] : read)
        if (auto before = seen_.find(file); before != seen_.end()) stamp = before->second;
    seen_.merge(Stamps(read));
    std::string fault;
    if (!next) {
        fault = next.error().message;
    } else if (std::string key = needs_restart(*now_, **next); !key.empty()) {
        fault = "'" + key + "' changed: that takes effect at a restart only; nothing was changed";
    } else if (std::string lost = newly_lost(*now_, **next); !lost.empty()) {
        fault = lost;
    } else if (std::string mistyped = newly_mistyped(*now_, **next); !mistyped.empty()) {
        fault = mistyped;
    } else if (Status gate = golden_gate(**next, now_.get()); !gate) {
        fault = gate.error().message;
    } else if (Status taken = install_(*next); !taken) {
        fault = taken.error().message;
    }
    metrics_.count_reload(fault.empty());
    if (!fault.empty()) {
        log_error("reload_refused", {{"why", why}, {"faults", fault}});
        return end_keys();
    }
    now_ = *next;
    seen_ = std::move(read);
    std::string trial = now_->candidate ? now_->candidate->policy.version : "";
    log_info("reloaded", {{"why", why},
                          {"policy_version", now_->policy.version},
                          {"rolled_back", now_->rolled_back.has_value()},
                          {"candidate_version", trial}});
}

void Reload::end_keys() {
    auto next = without_ended_keys(*now_);
    if (!next) return log_error("keys_not_read", {{"faults", next.error().message}});
    if (*next == nullptr) return;
    Status taken = install_(*next);
    if (!taken) return log_error("keys_not_taken", {{"faults", taken.error().message}});
    now_ = *next;
    log_info("keys_ended", {{"keys", now_->keys.size()}});
}

}  // namespace sluice
