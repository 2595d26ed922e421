#include "gateway/budgets.h"

#include <catch2/catch.hpp>
#include <thread>

using namespace sluice;

namespace {

constexpr std::int64_t noon = 1'795'305'600 + 12 * 3'600;  // 2026-11-22T12:00:00Z
constexpr std::int64_t usd = pico_per_usd;

Caller caller_of(const std::string& team, const std::string& key) {
    return {"acme", team, key, ""};
}

// Two keys of one team; what a configuration's reader would make of the budgets.
BudgetSection section_of(std::vector<Budget> budgets) {
    BudgetSection section;
    section.budgets = std::move(budgets);
    for (const char* key : {"k1", "k2"})
        for (std::size_t i = 0; i < section.budgets.size(); ++i) {
            section.budgets[i].words = section.budgets[i].in_words();
            if (section.budgets[i].covers(caller_of("search", key)))
                section.by_key[key].push_back(static_cast<std::uint16_t>(i));
        }
    return section;
}

Budget budget_of(BudgetOf of, const std::string& name, BudgetPer per, std::int64_t pico) {
    Budget budget;
    budget.of = of;
    budget.name = name;
    budget.per = per;
    budget.limit = Money{pico};
    return budget;
}

Result<std::vector<Budgets::Spent>> nothing(std::int64_t, std::int64_t) {
    return std::vector<Budgets::Spent>();
}

struct Rig {
    explicit Rig(std::vector<Budget> all, const Budgets::ReadSpent& read = nothing)
        : section(section_of(std::move(all))) {
        auto opened = budgets.open(section, noon, read);
        REQUIRE(opened);
        accounts = *opened;
    }
    BudgetView view() const { return {section, accounts}; }
    Result<Hold> admit(std::int64_t pico, const std::string& key = "k1", std::int64_t at = noon) {
        return budgets.admit(Money{pico}, 100, view(), caller_of("search", key), at);
    }
    BudgetLook look(const std::string& key = "k1", std::int64_t at = noon) const {
        return view().look(caller_of("search", key), at);
    }
    Budgets budgets;
    BudgetSection section;
    BudgetAccounts accounts;
};

}  // namespace

TEST_CASE("a hold takes its worst case out of a budget and leaves what it really cost",
          "[budgets]") {
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, 10 * usd)});
    {
        auto hold = rig.admit(4 * usd);
        REQUIRE(hold);
        CHECK(rig.look().left.pico_usd == 6 * usd);
        CHECK(rig.look().pressure == 0);
        hold->settle(Money{1 * usd + 7});
        CHECK(rig.look().left.pico_usd == 9 * usd - 7);
    }
    CHECK(rig.look().left.pico_usd == 9 * usd - 7);
    CHECK(rig.look().pressure == Approx(0.1));
    { auto dropped = rig.admit(4 * usd); }
    CHECK(rig.look().left.pico_usd == 9 * usd - 7);
}

TEST_CASE("a budget is never passed by what is held, to the pico-dollar", "[budgets]") {
    Rig rig({budget_of(BudgetOf::key, "k1", BudgetPer::day, 10)});
    auto first = rig.admit(6);
    REQUIRE(first);
    auto second = rig.admit(5);
    REQUIRE(!second);
    CHECK(second.error().code == Errc::budget_spent);
    CHECK(rig.budgets.in_flight() == 1);
    CHECK(rig.budgets.held().pico_usd == 6);
    auto third = rig.admit(4);
    CHECK(third);
    CHECK(rig.admit(0));  // what costs nothing is never refused
    CHECK(rig.admit(1'000, "k2"));
}

TEST_CASE("a refusal by one budget leaves nothing held in the others", "[budgets]") {
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::month, 100),
             budget_of(BudgetOf::all, "", BudgetPer::total, 100),
             budget_of(BudgetOf::key, "k1", BudgetPer::day, 5)});
    REQUIRE(!rig.admit(50));
    CHECK(rig.look("k2").left.pico_usd == 100);
    CHECK(rig.look("k2").tightest->per == BudgetPer::month);
    CHECK(rig.look("k1").left.pico_usd == 5);
}

TEST_CASE("a refusal says what is spent, what is held and when the window ends", "[budgets]") {
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, 10 * usd)});
    auto spent = rig.admit(7 * usd);
    spent->settle(Money{7 * usd});
    auto held = rig.admit(2 * usd);
    auto refused = rig.admit(2 * usd);
    REQUIRE(!refused);
    const std::string& said = refused.error().message;
    CHECK(said.find("budget of team 'search' a day") != std::string::npos);
    CHECK(said.find("$7.0 of $10.0 is spent, $2.0 is held") != std::string::npos);
    CHECK(said.find("up to $2.0; it resets at 2026-11-23T00:00:00Z") != std::string::npos);
    CHECK(refused.error().retry_after_ms == 12 * 3'600 * 1'000);
}

TEST_CASE("a new window begins with nothing spent, and late charges go to their own", "[budgets]") {
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, 10 * usd),
             budget_of(BudgetOf::team, "search", BudgetPer::month, 30 * usd)});
    constexpr std::int64_t next_day = noon + 86'400;
    auto late = rig.admit(8 * usd);
    REQUIRE(late);
    CHECK(rig.look("k1", next_day).left.pico_usd == 10 * usd);
    late->settle(Money{8 * usd});
    CHECK(rig.look("k1", next_day).pressure == Approx(8.0 / 30));  // of the month
    for (int day = 1; day <= 5; ++day) {
        REQUIRE(rig.budgets.prepare(rig.section, noon + day * 86'400, nothing));
        auto hold = rig.admit(3 * usd, "k1", noon + day * 86'400);
        REQUIRE(hold);
        hold->settle(Money{3 * usd});
    }
    CHECK(rig.look("k1", noon + 5 * 86'400).left.pico_usd == 7 * usd);
    CHECK(rig.look("k1", noon + 5 * 86'400).tightest->per == BudgetPer::day);
    CHECK(rig.look("k1", noon + 5 * 86'400).pressure == Approx(23.0 / 30));
}

TEST_CASE("days and months begin at the midnight of their time zone", "[budgets]") {
    constexpr std::int64_t hour = 3'600;
    constexpr std::int64_t midnight = noon - 12 * hour;
    CHECK(window_at(BudgetPer::day, 0, midnight) == window_at(BudgetPer::day, 0, noon));
    CHECK(window_at(BudgetPer::day, 0, midnight - 1) == window_at(BudgetPer::day, 0, noon) - 1);
    CHECK(window_at(BudgetPer::day, 2 * hour, midnight - 2 * hour) ==
          window_at(BudgetPer::day, 0, midnight));
    CHECK(window_at(BudgetPer::month, 0, noon) == 2026 * 12 + 10);
    constexpr std::int64_t december = midnight + 9 * 24 * hour;
    CHECK(window_begin(BudgetPer::month, 0, 2026 * 12 + 11) == december);
    CHECK(window_at(BudgetPer::month, 0, december) == 2026 * 12 + 11);
    CHECK(window_at(BudgetPer::month, 0, december - 1) == 2026 * 12 + 10);
    CHECK(window_begin(BudgetPer::month, -5 * hour, 2026 * 12 + 11) == december + 5 * hour);
    for (std::int64_t offset : {-5 * hour, 0 * hour, 14 * hour})
        for (BudgetPer per : {BudgetPer::day, BudgetPer::month})
            for (std::int64_t at = noon; at < noon + 800 * 24 * hour; at += 7 * hour) {
                std::int64_t window = window_at(per, offset, at);
                CHECK(window_begin(per, offset, window) <= at);
                CHECK(window_begin(per, offset, window + 1) > at);
            }
}

TEST_CASE("an account begins with what the ledger says of its window", "[budgets]") {
    std::vector<std::int64_t> asked;
    auto read = [&](std::int64_t since, std::int64_t) -> Result<std::vector<Budgets::Spent>> {
        asked.push_back(since);
        if (since > noon * 1'000) return std::vector<Budgets::Spent>();
        std::vector<Budgets::Spent> out{{caller_of("search", "k1"), Money{3 * usd}},
                                        {caller_of("search", "k2"), Money{1 * usd}},
                                        {caller_of("other", "k9"), Money{50 * usd}}};
        return out;
    };
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, 10 * usd),
             budget_of(BudgetOf::key, "k1", BudgetPer::day, 4 * usd),
             budget_of(BudgetOf::all, "", BudgetPer::day, 60 * usd)},
            read);
    // Today's and tomorrow's, once each for all of them.
    CHECK(asked ==
          std::vector<std::int64_t>{(noon - 12 * 3'600) * 1'000, (noon + 12 * 3'600) * 1'000});
    CHECK(rig.look("k1").left.pico_usd == 1 * usd);
    CHECK(rig.look("k2").left.pico_usd == 6 * usd);
    CHECK(rig.look("k2").pressure == Approx(0.9));
    REQUIRE(rig.admit(1 * usd));
    // Opened again, as by a reload, it goes on and is not read again.
    rig.admit(1 * usd)->settle(Money{1 * usd});
    auto again = rig.budgets.open(rig.section, noon, read);
    REQUIRE(again);
    CHECK(asked.size() == 2);
    CHECK(BudgetView{rig.section, *again}.look(caller_of("search", "k1"), noon).left.pico_usd == 0);
    // Taken out and written again, it begins with what was spent meanwhile, too.
    REQUIRE(rig.budgets.open(section_of({}), noon, read));
    again = rig.budgets.open(rig.section, noon, read);
    REQUIRE(again);
    CHECK(asked.size() == 4);
    CHECK(BudgetView{rig.section, *again}.look(caller_of("search", "k1"), noon).left.pico_usd ==
          1 * usd);
    auto failing = [](std::int64_t, std::int64_t) -> Result<std::vector<Budgets::Spent>> {
        return Error(Errc::bad_file, "no");
    };
    Budgets other;
    CHECK(!other.open(rig.section, noon, failing));
}

TEST_CASE("a budget that a reload took away stays ready for requests that still hold it",
          "[budgets]") {
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, usd)});
    REQUIRE(rig.budgets.open(section_of({}), noon, nothing));  // refused later on, say
    const std::int64_t later = noon + 2 * 86'400;
    REQUIRE(rig.budgets.prepare(section_of({}), later, nothing));
    CHECK(rig.admit(usd, "k1", later));
    auto more = rig.admit(usd + 1, "k1", later);
    REQUIRE(!more);
    CHECK(more.error().code == Errc::budget_spent);
}

TEST_CASE("budgets of a reload that is refused later on leave nothing behind", "[budgets]") {
    std::int64_t on_record = 3 * usd;
    auto read = [&](std::int64_t, std::int64_t) -> Result<std::vector<Budgets::Spent>> {
        std::vector<Budgets::Spent> out{{caller_of("search", "k1"), Money{on_record}}};
        return out;
    };
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, 10 * usd)}, read);
    BudgetSection more = section_of({budget_of(BudgetOf::key, "k1", BudgetPer::day, 9 * usd)});
    REQUIRE(rig.budgets.ready(more, noon, read));  // and that was all of it
    rig.admit(usd)->settle(Money{usd});
    on_record += usd;
    CHECK(rig.look("k1").left.pico_usd == 6 * usd);
    auto next = rig.budgets.ready(more, noon, read);
    REQUIRE(next);
    BudgetAccounts accounts = rig.budgets.take_up(std::move(*next));
    BudgetLook look = BudgetView{more, accounts}.look(caller_of("search", "k1"), noon);
    CHECK(look.left.pico_usd == 5 * usd);  // what was spent between the two is in it
}

namespace {

constexpr std::int64_t day = 86'400;

// A ledger with rows at moments, which may fail.
struct Rows {
    std::vector<std::pair<std::int64_t, std::int64_t>> rows;  // unix seconds, pico-dollars
    bool failing = false;
    Budgets::ReadSpent read() {
        return
            [this](std::int64_t since, std::int64_t until) -> Result<std::vector<Budgets::Spent>> {
                if (failing) return Error(Errc::bad_file, "no");
                std::vector<Budgets::Spent> out;
                for (auto [at, pico] : rows)
                    if (at * 1'000 >= since && at * 1'000 < until)
                        out.push_back({caller_of("search", "k1"), Money{pico}});
                return out;
            };
    }
};

std::vector<Budget> ten_a_day() {
    return {budget_of(BudgetOf::team, "search", BudgetPer::day, 10 * usd)};
}

}  // namespace

TEST_CASE("a clock that goes back finds what was spent again", "[budgets]") {
    Rows ledger;
    Rig rig(ten_a_day(), ledger.read());
    rig.admit(3 * usd)->settle(Money{3 * usd});
    ledger.rows = {{noon, 3 * usd}};
    for (std::int64_t days : {1, 0, -1, 0, 2, 0, 40, 0, -40, 0}) {
        REQUIRE(rig.budgets.prepare(rig.section, noon + days * day, ledger.read()));
        CHECK(rig.look("k1", noon + days * day).left.pico_usd == (days == 0 ? 7 : 10) * usd);
    }
}

TEST_CASE("a clock that goes forth finds what was spent there before", "[budgets]") {
    Rows ledger;
    ledger.rows = {{noon + day, 1 * usd}, {noon + 5 * day, 2 * usd}};
    Rig rig(ten_a_day(), ledger.read());  // a start with the clock behind
    for (auto [days, left] : {std::pair(1, 9), std::pair(5, 8), std::pair(6, 10)}) {
        REQUIRE(rig.budgets.prepare(rig.section, noon + days * day, ledger.read()));
        CHECK(rig.look("k1", noon + days * day).left.pico_usd == left * usd);
    }
}

TEST_CASE("what was spent in days to come is not this day's, but all of what a total is",
          "[budgets]") {
    Rows ledger;
    ledger.rows = {{noon - 12 * 3'600, 1 * usd},      // midnight: this day's first
                   {noon + 12 * 3'600, 2 * usd},      // the next one's
                   {noon + 40 * day, 4 * usd},        // another month's
                   {noon - 12 * 3'600 - 1, 1 * usd},  // the day before
                   {noon - 40 * day, 1 * usd}};
    std::vector<Budget> all = ten_a_day();
    all.push_back(budget_of(BudgetOf::key, "k1", BudgetPer::month, 20 * usd));
    all.push_back(budget_of(BudgetOf::all, "", BudgetPer::total, 30 * usd));
    Rig rig(all, ledger.read());  // a start with the clock gone back to this day
    std::vector<std::int64_t> spent;
    for (const BudgetNow& one : budgets_now(rig.view(), noon)) spent.push_back(one.spent.pico_usd);
    CHECK(spent == std::vector<std::int64_t>{1 * usd, 4 * usd, 9 * usd});
    CHECK(rig.admit(9 * usd));
}

TEST_CASE("a clock that goes back by days and then on finds each day's own", "[budgets]") {
    Rows ledger;
    Rig rig(ten_a_day(), ledger.read());
    rig.admit(3 * usd)->settle(Money{3 * usd});
    ledger.rows = {{noon, 3 * usd}};
    for (std::int64_t days : {-4, -1, 0})
        REQUIRE(rig.budgets.prepare(rig.section, noon + days * day, ledger.read()));
    CHECK(rig.look().left.pico_usd == 7 * usd);
}

TEST_CASE("a budget that cannot be counted refuses until it is", "[budgets]") {
    Rows ledger;
    Rig rig(ten_a_day(), ledger.read());
    rig.admit(3 * usd)->settle(Money{3 * usd});
    ledger.rows = {{noon, 3 * usd}};
    REQUIRE(rig.budgets.prepare(rig.section, noon + 40 * day, ledger.read()));
    ledger.failing = true;
    for (int tick = 0; tick < 2; ++tick) {
        CHECK(!rig.budgets.prepare(rig.section, noon, ledger.read()));
        auto refused = rig.admit(usd);
        REQUIRE(!refused);
        CHECK(refused.error().code == Errc::overloaded);
    }
    ledger.failing = false;
    REQUIRE(rig.budgets.prepare(rig.section, noon, ledger.read()));
    CHECK(rig.look().left.pico_usd == 7 * usd);
    CHECK(!rig.admit(8 * usd));
}

TEST_CASE("what is held when the clock jumps is held on, and charged whole", "[budgets]") {
    Rows ledger;
    Rig rig(ten_a_day(), ledger.read());
    auto held = rig.admit(4 * usd);
    REQUIRE(held);
    for (std::int64_t days : {40, 0})
        REQUIRE(rig.budgets.prepare(rig.section, noon + days * day, ledger.read()));
    CHECK(rig.look().left.pico_usd == 6 * usd);
    held->settle(Money{3 * usd});
    CHECK(rig.look().left.pico_usd == 7 * usd);
    CHECK(rig.look().pressure == Approx(0.3));
}

TEST_CASE("threads that spend at once never pass a budget together", "[budgets]") {
    Rig rig({budget_of(BudgetOf::team, "search", BudgetPer::day, 1'000)});
    std::atomic<std::int64_t> charged{0};
    auto spend = [&](const char* key) {
        for (int i = 0; i < 5'000; ++i)
            if (auto hold = rig.admit(3, key)) {
                if (i % 3 == 0) continue;
                hold->settle(Money{2});
                charged += 2;
            }
    };
    std::thread first(spend, "k1"), second(spend, "k2");
    first.join();
    second.join();
    CHECK(charged <= 1'000);
    CHECK(rig.look().left.pico_usd == 1'000 - charged);
    CHECK(charged >= 998 - 2);
}
