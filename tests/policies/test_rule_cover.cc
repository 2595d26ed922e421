// Whether one rule takes all that another does: what is said of spans of time and of what is denied
// is held against every hour of a week, and every set of personal data.
#include "policies/rule_cover.h"

#include <catch2/catch.hpp>
#include <random>

using namespace sluice;

namespace {

RuleMatch time_of(unsigned days, int from_hour, int to_hour) {
    Condition out;
    out.field = Field::time;
    out.days = static_cast<std::uint8_t>(days);
    out.from_minute = static_cast<std::int16_t>(from_hour * 60);
    out.to_minute = static_cast<std::int16_t>(to_hour * 60);
    return {{out}};
}

RuleMatch flag_of(Field field, bool wanted, PiiSet pii = 0) {
    Condition out;
    out.field = field;
    out.wanted = wanted;
    out.pii = pii;
    return {{out}};
}

RuleMatch none_of(std::vector<RuleMatch> parts) {
    Condition out;
    out.field = Field::none;
    out.parts = std::move(parts);
    return {{out}};
}

bool covers(const RuleMatch& earlier, const RuleMatch& later) {
    std::int64_t steps = 1'000'000;
    return covers(earlier, later, steps);
}

constexpr unsigned every_day = 0x7f, monday = 1, tuesday = 2, sunday = 64;

struct One {
    Caller caller;
    Labels labels;
    ChatRequest request;
    Difficulty easy;
    Seen seen;
    std::int64_t unix_seconds = 0;
    bool has(const RuleMatch& match) const {
        Facts::Given given{caller, labels, request, easy, 0, unix_seconds, 0, &seen};
        return Facts(given).hold(match);
    }
};

}  // namespace

TEST_CASE("a span of time within another is found, also past midnight", "[policy]") {
    CHECK(covers(time_of(every_day, 22, 6), time_of(every_day, 23, 5)));
    CHECK(covers(time_of(every_day, 22, 6), time_of(every_day, 23, 24)));
    CHECK(covers(time_of(every_day, 22, 6), time_of(monday, 0, 5)));
    CHECK(covers(time_of(sunday, 22, 6), time_of(monday, 0, 6)));
    CHECK(covers(time_of(monday | tuesday, 0, 24), time_of(monday, 22, 6)));
    CHECK_FALSE(covers(time_of(monday, 22, 6), time_of(monday, 0, 5)));
    CHECK_FALSE(covers(time_of(monday, 0, 24), time_of(monday, 22, 6)));
    CHECK_FALSE(covers(time_of(every_day, 23, 5), time_of(every_day, 22, 6)));
}

TEST_CASE("no span of time is said to be within another that it leaves", "[policy]") {
    std::mt19937 random(7);
    auto below = [&](unsigned count) { return static_cast<unsigned>(random() % count); };
    auto span = [&] {
        int from = static_cast<int>(below(24)), to = static_cast<int>(below(25));
        return time_of(1 + below(127), from, to);
    };
    int within = 0;
    for (int round = 0; round < 20'000; ++round) {
        const RuleMatch outer = span(), inner = span();
        if (!covers(outer, inner)) continue;
        ++within;
        for (int hour = 0; hour < 7 * 24; ++hour) {
            One one;
            one.unix_seconds = 1'800'000'000 / 604'800 * 604'800 + hour * 3'600;
            if (one.has(inner)) REQUIRE(one.has(outer));
        }
    }
    CHECK(within > 100);
}

TEST_CASE("what is denied is told in either way of saying it", "[policy]") {
    std::vector<RuleMatch> ways;
    for (bool wanted : {false, true}) {
        ways.push_back(flag_of(Field::tools, wanted));
        for (PiiSet set : {PiiSet{1}, PiiSet{2}, PiiSet{3}})
            ways.push_back(flag_of(Field::pii, wanted, set));
    }
    for (std::size_t i = 0, plain = ways.size(); i < plain; ++i) ways.push_back(none_of({ways[i]}));
    ways.push_back(none_of({ways[0], ways[1]}));
    std::vector<One> all;
    for (std::size_t tools : {0U, 1U})
        for (PiiSet found : {PiiSet{0}, PiiSet{1}, PiiSet{2}, PiiSet{3}}) {
            One& one = all.emplace_back();
            one.request.tools.resize(tools);
            one.seen.pii_found = found;
        }
    for (const RuleMatch& earlier : ways)
        for (const RuleMatch& later : ways) {
            bool taken = std::all_of(all.begin(), all.end(), [&](const One& one) {
                return !one.has(later) || one.has(earlier);
            });
            if (covers(earlier, later)) CHECK(taken);
        }
    CHECK(covers(flag_of(Field::tools, false), none_of({flag_of(Field::tools, true)})));
    CHECK(covers(none_of({flag_of(Field::tools, true)}), flag_of(Field::tools, false)));
    CHECK(covers(none_of({flag_of(Field::pii, true, 3)}), flag_of(Field::pii, false, 3)));
    CHECK(covers(flag_of(Field::pii, false, 1), none_of({flag_of(Field::pii, true, 3)})));
    CHECK_FALSE(covers(flag_of(Field::pii, false, 3), none_of({flag_of(Field::pii, true, 1)})));
}
