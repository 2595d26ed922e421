#include "gateway/budgets.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>

#include "gateway/utc_text.h"

namespace sluice {
namespace {

constexpr std::int64_t day_s = 86'400;
constexpr auto relaxed = std::memory_order_relaxed;

std::int64_t floor_days(std::int64_t seconds) {
    return seconds >= 0 ? seconds / day_s : -((-seconds + day_s - 1) / day_s);
}

const char* kind_name(BudgetOf of) {
    switch (of) {
        case BudgetOf::all:
            return "all";
        case BudgetOf::org:
            return "org";
        case BudgetOf::team:
            return "team";
        case BudgetOf::key:
            return "key";
    }
    return "";
}

const char* window_name(BudgetPer per) {
    switch (per) {
        case BudgetPer::day:
            return "day";
        case BudgetPer::month:
            return "month";
        case BudgetPer::total:
            return "total";
    }
    return "";
}

std::int64_t added(std::int64_t a, std::int64_t b) { return (Money{a} + Money{b}).pico_usd; }

void add(std::atomic<std::int64_t>& to, std::int64_t pico_usd) {
    std::int64_t before = to.load(relaxed);
    while (!to.compare_exchange_weak(before, added(before, pico_usd), relaxed)) {
    }
}

std::string key_of(const Budget& budget, std::int64_t offset_s) {
    return budget.scope() + "@" + std::to_string(offset_s);
}

}  // namespace

std::string Budget::scope() const {
    return std::string(kind_name(of)) + (name.empty() ? "" : ":" + name) + ":" + window_name(per);
}

std::string Budget::in_words() const {
    std::string who = of == BudgetOf::all ? "all callers" : kind_name(of) + (" '" + name + "'");
    if (per == BudgetPer::total) return who + " in total";
    return who + " a " + window_name(per);
}

bool Budget::covers(const Caller& caller) const {
    switch (of) {
        case BudgetOf::all:
            return true;
        case BudgetOf::org:
            return caller.org == name;
        case BudgetOf::team:
            return caller.team == name;
        case BudgetOf::key:
            return caller.key_id == name;
    }
    return false;
}

std::int64_t window_at(BudgetPer per, std::int64_t offset_s, std::int64_t unix_seconds) {
    if (per == BudgetPer::total) return 0;
    std::int64_t day = floor_days(unix_seconds + offset_s);
    if (per == BudgetPer::day) return day;
    std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
    return static_cast<int>(date.year()) * 12 + static_cast<unsigned>(date.month()) - 1;
}

std::int64_t window_begin(BudgetPer per, std::int64_t offset_s, std::int64_t window) {
    if (per == BudgetPer::total) return 0;
    if (per == BudgetPer::day) return window * day_s - offset_s;
    using namespace std::chrono;
    year_month_day first{year{static_cast<int>(window / 12)},
                         month{static_cast<unsigned>(window % 12) + 1}, day{1}};
    return sys_days{first}.time_since_epoch().count() * day_s - offset_s;
}

bool BudgetAccount::Slot::reserve(std::int64_t pico_usd, std::int64_t limit) {
    std::int64_t before = used.load(relaxed);
    for (;;) {
        std::int64_t after = added(before, pico_usd);
        if (pico_usd > 0 && after > limit) return false;
        if (used.compare_exchange_weak(before, after, relaxed)) return true;
    }
}

void BudgetAccount::Slot::release(std::int64_t pico_usd) { add(used, -pico_usd); }

void BudgetAccount::Slot::settle(std::int64_t held_pico_usd, std::int64_t cost_pico_usd) {
    add(spent, cost_pico_usd);
    add(used, cost_pico_usd - held_pico_usd);
}

void BudgetAccount::Slot::begin(std::int64_t spent_pico_usd) {
    std::int64_t before = spent.exchange(spent_pico_usd, relaxed);
    add(used, added(spent_pico_usd, -before));
}

Status BudgetAccount::prepare(std::int64_t unix_seconds, const Count& count) {
    std::int64_t now = window_at(per_, offset_s_, unix_seconds);
    std::int64_t last = per_ == BudgetPer::total ? now : now + 1;
    Status all = Done{};
    for (std::int64_t window = now; window <= last; ++window) {
        Slot& slot = slots_[static_cast<std::size_t>(window) % slots_.size()];
        if (slot.window.load(relaxed) == window) continue;
        slot.window.store(-1, std::memory_order_release);  // refuses until it is counted
        auto spent = count(window);
        if (!spent) {
            all = spent.error();
            continue;
        }
        slot.begin(spent->pico_usd);
        slot.window.store(window, std::memory_order_release);
    }
    return all;
}

BudgetAccount::Slot* BudgetAccount::slot(std::int64_t unix_seconds) {
    std::int64_t window = window_at(per_, offset_s_, unix_seconds);
    Slot& slot = slots_[static_cast<std::size_t>(window) % slots_.size()];
    return slot.window.load(std::memory_order_acquire) == window ? &slot : nullptr;
}

Hold::~Hold() {
    if (budgets_ == nullptr) return;
    for (std::size_t i = 0; i < count_; ++i) slots_[i]->release(ceiling_.pico_usd);
    budgets_->in_flight_.fetch_sub(1, relaxed);
    budgets_->held_pico_usd_.fetch_sub(ceiling_.pico_usd, relaxed);
}

void Hold::settle(Money cost) {
    for (std::size_t i = 0; i < count_; ++i) slots_[i]->settle(ceiling_.pico_usd, cost.pico_usd);
    count_ = 0;
}

BudgetLook BudgetView::look(const Caller& caller, std::int64_t unix_seconds) const {
    BudgetLook out;
    if (accounts.empty()) return out;
    auto covering = section.by_key.find(caller.key_id);
    if (covering == section.by_key.end()) return out;
    for (std::uint16_t index : covering->second) {
        const Budget& budget = section.budgets[index];
        const BudgetAccount::Slot* slot = accounts[index]->slot(unix_seconds);
        if (slot == nullptr) continue;
        auto limit = static_cast<double>(budget.limit.pico_usd);
        auto spent = static_cast<double>(slot->spent.load(relaxed));
        out.pressure = std::max(out.pressure, limit > 0 ? spent / limit : 1.0);
        Money left{added(budget.limit.pico_usd, -slot->used.load(relaxed))};
        if (out.tightest != nullptr && left >= out.left) continue;
        out.left = left;
        out.tightest = &budget;
    }
    return out;
}

std::vector<BudgetNow> budgets_now(const BudgetView& view, std::int64_t unix_seconds) {
    std::vector<BudgetNow> out;
    for (std::size_t i = 0; i < view.accounts.size(); ++i) {
        const BudgetAccount::Slot* slot = view.accounts[i]->slot(unix_seconds);
        if (slot == nullptr) continue;
        std::int64_t spent = slot->spent.load(relaxed);
        out.push_back(
            {&view.section.budgets[i], Money{spent}, Money{slot->used.load(relaxed) - spent}});
    }
    return out;
}

void add_reset(Error& error, const BudgetView& view, const Budget& budget,
               std::int64_t unix_seconds) {
    if (budget.per == BudgetPer::total) {
        error.message += "; it does not reset";
        return;
    }
    std::int64_t offset = view.section.offset_s;
    std::int64_t next = window_at(budget.per, offset, unix_seconds) + 1;
    std::int64_t resets = window_begin(budget.per, offset, next);
    error.message += "; it resets at " + utc_text(resets);
    std::int64_t wait_ms = (resets - unix_seconds) * 1'000;
    error.retry_after_ms =
        static_cast<int>(std::min<std::int64_t>(wait_ms, std::numeric_limits<int>::max()));
}

namespace {

Error spent_error(const BudgetView& view, const Budget& budget, const BudgetAccount::Slot& slot,
                  Money ceiling, std::int64_t unix_seconds) {
    Money spent{slot.spent.load(relaxed)};
    Money held{slot.used.load(relaxed) - spent.pico_usd};
    Error error(Errc::budget_spent,
                "the budget of " + budget.words + " does not allow this request: $" +
                    usd_text(spent) + " of $" + usd_text(budget.limit) + " is spent, $" +
                    usd_text(held) + " is held by requests in flight, and this one may cost up " +
                    "to $" + usd_text(ceiling));
    add_reset(error, view, budget, unix_seconds);
    return error;
}

}  // namespace

namespace {

// What is on record, read once for each span of time that is a window.
class OnRecord {
public:
    explicit OnRecord(const Budgets::ReadSpent& read) : read_(read) {}
    Status prepare(BudgetAccount& account, const Budget& budget, std::int64_t offset_s,
                   std::int64_t unix_seconds) {
        return account.prepare(unix_seconds, [&](std::int64_t window) {
            if (budget.per == BudgetPer::total) return of(budget, {0, INT64_MAX});
            return of(budget, {window_begin(budget.per, offset_s, window) * 1'000,
                               window_begin(budget.per, offset_s, window + 1) * 1'000});
        });
    }

private:
    using Span = std::pair<std::int64_t, std::int64_t>;  // unix ms: from, until
    Result<Money> of(const Budget& budget, Span span) {
        auto [found, first] = spans_.try_emplace(span);
        if (first) found->second = read_(span.first, span.second);
        if (!found->second) return found->second.error();
        Money sum;
        for (const Budgets::Spent& one : *found->second)
            if (budget.covers(one.caller)) sum = Money{added(sum.pico_usd, one.cost.pico_usd)};
        return sum;
    }
    const Budgets::ReadSpent& read_;
    std::map<Span, Result<std::vector<Budgets::Spent>>> spans_;
};

}  // namespace

Result<Budgets::Next> Budgets::ready(const BudgetSection& section, std::int64_t unix_seconds,
                                     const ReadSpent& read) const {
    Next next;
    OnRecord record(read);
    for (const Budget& budget : section.budgets) {
        const std::string& key = next.keys.emplace_back(key_of(budget, section.offset_s));
        if (accounts_.contains(key)) continue;
        auto account = std::make_unique<BudgetAccount>(budget.per, section.offset_s);
        Status counted = record.prepare(*account, budget, section.offset_s, unix_seconds);
        if (!counted) return counted.error();
        next.opened[key] = std::move(account);
    }
    return next;
}

BudgetAccounts Budgets::take_up(Next next) {
    BudgetAccounts accounts;
    for (const std::string& key : next.keys) {
        auto& account = next.opened[key];
        if (account == nullptr) account = std::move(accounts_[key]);
        accounts.push_back(account.get());
    }
    for (auto& [key, account] : accounts_)
        if (account != nullptr) closed_.push_back(std::move(account));
    accounts_ = std::move(next.opened);
    return accounts;
}

Result<BudgetAccounts> Budgets::open(const BudgetSection& section, std::int64_t unix_seconds,
                                     const ReadSpent& read) {
    auto next = ready(section, unix_seconds, read);
    if (!next) return next.error();
    return take_up(std::move(*next));
}

Status Budgets::prepare(const BudgetSection& section, std::int64_t unix_seconds,
                        const ReadSpent& read) {
    Status all = Done{};
    // Requests under way still settle there; it limits nobody else.
    for (auto& account : closed_) {
        Status made = account->prepare(unix_seconds, [](std::int64_t) { return Money{}; });
        if (!made) all = made;
    }
    OnRecord record(read);
    for (const Budget& budget : section.budgets) {
        auto account = accounts_.find(key_of(budget, section.offset_s));
        if (account == accounts_.end()) continue;
        Status counted = record.prepare(*account->second, budget, section.offset_s, unix_seconds);
        if (!counted) all = counted;
    }
    return all;
}

Result<Hold> Budgets::admit(Money ceiling, int requests_max) {
    int before = in_flight_.fetch_add(1, relaxed);
    if (before >= requests_max) {
        in_flight_.fetch_sub(1, relaxed);
        Error full(Errc::overloaded, std::to_string(before) +
                                         " requests are in flight, the limit is " +
                                         std::to_string(requests_max) + ": try again shortly");
        full.retry_after_ms = 1'000;
        return full;
    }
    held_pico_usd_.fetch_add(ceiling.pico_usd, relaxed);
    Hold hold;
    hold.budgets_ = this;
    hold.ceiling_ = ceiling;
    return hold;
}

Result<Hold> Budgets::admit(Money ceiling, int requests_max, const BudgetView& view,
                            const Caller& caller, std::int64_t unix_seconds) {
    auto hold = admit(ceiling, requests_max);
    if (!hold || view.accounts.empty()) return hold;
    auto covering = view.section.by_key.find(caller.key_id);
    if (covering == view.section.by_key.end()) return hold;
    for (std::uint16_t index : covering->second) {
        const Budget& budget = view.section.budgets[index];
        BudgetAccount::Slot* slot = view.accounts[index]->slot(unix_seconds);
        if (slot == nullptr)
            return Error(Errc::overloaded, "the budget of " + budget.words +
                                               " is not counted yet: try again shortly");
        if (!slot->reserve(ceiling.pico_usd, budget.limit.pico_usd))
            return spent_error(view, budget, *slot, ceiling, unix_seconds);
        hold->slots_[hold->count_++] = slot;
    }
    return hold;
}

Money Budgets::held() const { return Money{held_pico_usd_.load(relaxed)}; }

}  // namespace sluice
