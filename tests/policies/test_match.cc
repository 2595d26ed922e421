// What each condition of `when` holds for.
#include "tests/policies/route_world.h"

namespace sluice {
namespace {

constexpr std::int64_t day_s = 86'400;
// 1970-01-05 was a Monday.
std::int64_t at(int weekday, int hour, int minute) {
    return (4 + weekday) * day_s + hour * 3'600 + minute * 60;
}

}  // namespace

TEST_CASE("who calls is matched by org, team, key and user", "[match]") {
    Asked org("{org: [acme, other]}"), team("{team: search}"), key("{key: key-1}"),
        user("{user: [ann]}"), wrong("{org: acme, user: bob}");
    CHECK(org());
    CHECK(team());
    CHECK(key());
    CHECK(user());
    CHECK_FALSE(wrong());
}

TEST_CASE("an app is the tag of that name, and tags may list values", "[match]") {
    Asked app("{app: search}"), tags("{tags: {env: [prod, stage], batch: '*'}}");
    CHECK_FALSE(app());
    app.labels.tags["app"] = "search";
    CHECK(app());
    tags.labels.tags["env"] = "stage";
    CHECK_FALSE(tags());
    tags.labels.tags["batch"] = "";
    CHECK(tags());
    tags.labels.tags["env"] = "dev";
    CHECK_FALSE(tags());
}

TEST_CASE("any, all and not nest", "[match]") {
    Asked asked(
        "{any: [{team: legal}, {all: [{team: search}, {tags: {x: '*'}}]}], "
        "not: [{data_class: public}, {model: far}]}");
    CHECK_FALSE(asked());
    asked.labels.tags["x"] = "1";
    CHECK(asked());
    asked.caller.team = "legal";
    asked.labels.tags.clear();
    CHECK(asked());
    asked.labels.data_class = "public";
    CHECK_FALSE(asked());
    asked.labels.data_class = "";
    asked.request.model = "far";
    CHECK_FALSE(asked());
}

TEST_CASE("not of a map bars only what has all of it", "[match]") {
    Asked asked("{not: {team: search, data_class: public}}");
    CHECK(asked());
    asked.labels.data_class = "public";
    CHECK_FALSE(asked());
}

TEST_CASE("only headers of the list are matched, whatever their case in the policy", "[match]") {
    Asked asked("{headers: {X-Env: [prod]}}", "headers: [X-Env]\n");
    CHECK(asked.policy.headers == std::vector<std::string>{"x-env"});
    CHECK_FALSE(asked());
    asked.labels.headers["x-env"] = "prod";
    CHECK(asked());
}

TEST_CASE("turns are the user's messages", "[match]") {
    Asked asked("{turns: {min: 2, below: 3}}");
    CHECK_FALSE(asked());
    asked.request.messages.push_back(asked.request.messages[0]);
    CHECK(asked());
    asked.request.messages.push_back(asked.request.messages[0]);
    CHECK_FALSE(asked());
}

TEST_CASE("the classifier's domain and need of reasoning are matched", "[match]") {
    Asked maths("{domain: [maths, problem], needs_reasoning: {min: 0.8}}");
    CHECK_FALSE(maths());
    maths.difficulty.domain = Domain::maths;
    CHECK_FALSE(maths());
    maths.difficulty.needs_reasoning = 0.9;
    CHECK(maths());
}

TEST_CASE("budget pressure is matched as a share", "[match]") {
    Asked asked("{budget_pressure: {min: 0.8}}");
    CHECK_FALSE(asked());
    asked.budget_pressure = 0.8;
    CHECK(asked());
}

TEST_CASE("times of day are those of the policy's zone", "[match]") {
    Asked office("{time: {from: '09:00', to: '17:30', days: [mon, fri]}}", "time_zone: '+02:00'\n");
    office.unix_seconds = at(0, 7, 0);  // 09:00 there
    CHECK(office());
    office.unix_seconds = at(0, 6, 59);
    CHECK_FALSE(office());
    office.unix_seconds = at(0, 15, 29);
    CHECK(office());
    office.unix_seconds = at(0, 15, 30);
    CHECK_FALSE(office());
    office.unix_seconds = at(1, 7, 0);
    CHECK_FALSE(office());
    office.unix_seconds = at(4, 7, 0);
    CHECK(office());
}

TEST_CASE("a night belongs to the day on which it begins", "[match]") {
    Asked night("{time: {from: '22:00', to: '06:00', days: [fri]}}");
    night.unix_seconds = at(4, 22, 0);
    CHECK(night());
    night.unix_seconds = at(5, 5, 59);  // Saturday morning
    CHECK(night());
    night.unix_seconds = at(4, 5, 59);  // Friday morning is Thursday's night
    CHECK_FALSE(night());
    night.unix_seconds = at(5, 22, 0);
    CHECK_FALSE(night());
    Asked sunday("{time: {from: '22:00', to: '06:00', days: [sun]}}");
    sunday.unix_seconds = at(7, 1, 0);  // Monday, an hour past midnight
    CHECK(sunday());
}

TEST_CASE("the language is that of the last user turn", "[match]") {
    Asked german("{language: de}");
    CHECK_FALSE(german());
    german.request = fake_request("Kannst du mir bitte sagen, wie das Wetter morgen wird?");
    CHECK(german());
}

TEST_CASE("personal data is looked for in all of the request", "[match]") {
    Asked card("{pii: [card]}"), none("{pii: false}");
    CHECK_FALSE(card());
    CHECK(none());
    Message tool;
    tool.role = Role::tool;
    tool.parts.emplace_back().text = "paid with 4111 1111 1111 1111";
    card.request.messages.push_back(tool);
    none.request.messages.push_back(tool);
    CHECK(card());
    CHECK_FALSE(none());
    Asked call("{pii: email}");
    Message assistant;
    assistant.role = Role::assistant;
    assistant.tool_calls.push_back({"1", "send", R"({"to":"ann@example.com"})"});
    call.request.messages.push_back(assistant);
    CHECK(call());
    Asked extra("{pii: email}");
    extra.request.extra.emplace_back("metadata", R"({"customer":"ann@example.com"})");
    CHECK(extra());
}

TEST_CASE("rules of more words than are indexed are found all the same", "[match]") {
    std::string rules = world_bands + "rules:\n";
    for (int i = 0; i < 6; ++i) {
        rules += "  - {name: r" + std::to_string(i) + ", use: open, when: {team: [";
        for (int k = 0; k < 900; ++k) rules += (k == 0 ? "t" : ", t") + std::to_string(i * 900 + k);
        rules += "]}}\n";
    }
    World world(rules);
    CHECK(world.route()->rule == "default");
    for (int i : {0, 1'000, 4'200, 5'399}) {
        world.caller.team = "t" + std::to_string(i);
        CHECK(world.route()->rule == "r" + std::to_string(i / 900));
    }
}

TEST_CASE("rules of many teams are found through the index, and in order", "[match]") {
    std::string rules = world_bands + "rules:\n";
    for (int i = 0; i < 130; ++i)
        rules += "  - {name: r" + std::to_string(i) + ", when: {team: [t" + std::to_string(i) +
                 ", u" + std::to_string(i % 7) + "], data_class: d" + std::to_string(i % 3) +
                 "}, use: open}\n";
    World world(rules);
    world.caller.team = "t129";
    CHECK(world.route()->rule == "default");
    world.labels.data_class = "d0";
    CHECK(world.route()->rule == "r129");
    world.caller.team = "u5";
    CHECK(world.route()->rule == "r12");
    world.labels.data_class = "d2";
    CHECK(world.route()->rule == "r5");
}

}  // namespace sluice
