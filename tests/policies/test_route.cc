// Rules, names and bands to attempts; the gates that skip an upstream.
#include <ctime>

#include "tests/policies/fakes.h"

namespace sluice {
namespace {

const std::string three_tiers = R"(
version: 1
tiers:
  local: [here]
  open: [open-a, open-b]
  frontier: [far]
aliases: {fast: local, gpt-4o-mini: auto, best: far}
default:
  bands:
    - {below: 0.45, tier: local}
    - {below: 0.80, tier: open}
    - {tier: frontier}
)";

struct Fleet {
    std::vector<Upstream> upstreams = {fake_upstream("here", 0), fake_upstream("open-a", 2),
                                       fake_upstream("open-b", 2), fake_upstream("far", 25)};
    std::vector<UpstreamView> views;
    Fleet() {
        for (const Upstream& one : upstreams) views.push_back(UpstreamView{&one, true, ""});
    }
    Fleet(const Fleet&) = delete;
    Upstream& operator[](std::string_view name) {
        for (Upstream& one : upstreams)
            if (one.name == name) return one;
        throw std::logic_error("no such upstream in the test");
    }
    void down(std::string_view name) {
        for (UpstreamView& view : views)
            if (view.upstream->name == name) {
                view.up = false;
                view.why_down = "cooling down after 429";
            }
    }
    void disable(std::string_view name) {
        std::erase_if(views, [&](const UpstreamView& view) { return view.upstream->name == name; });
    }
};

struct Call {
    Fleet fleet;
    Policy policy;
    Caller caller{"acme", "search", "key-1", ""};
    Labels labels;
    ChatRequest request = fake_request("hello");
    Difficulty difficulty;
    std::int64_t input_tokens = 100;
    Money budget_left{INT64_MAX};

    explicit Call(const std::string& rules = "")
        : policy(policy_of(three_tiers + rules, {"here", "open-a", "open-b", "far"})) {
        difficulty.score = 0.1;
    }
    Result<Route> route() {
        RouteInput input{caller, labels, request, difficulty, input_tokens};
        input.budget_left = budget_left;
        input.budget = "team 't' a day";
        return choose_route(policy, input, fleet.views);
    }
    std::string order() { return order_of(route()); }
};

}  // namespace

TEST_CASE("difficulty bands choose the tier, the rest follow dearer first", "[route]") {
    Call call;
    CHECK(call.order() == "here open-a open-b far");
    call.difficulty.score = 0.45;  // a band's upper end is exclusive
    CHECK(call.order() == "open-a open-b far here");
    call.difficulty.score = 0.80;
    CHECK(call.order() == "far open-a open-b here");
    call.difficulty.score = 1.0;
    CHECK(call.order() == "far open-a open-b here");
    call.difficulty.score = 0.5;
    auto route = call.route();
    REQUIRE(route);
    CHECK(route->tier == "open");
    CHECK(route->rule == "default");
    CHECK(route->reason == "difficulty 0.50 is from 0.45 to below 0.8: tier open");
    CHECK(route->attempts[0].tier == "open");
    CHECK(route->attempts[3].tier == "local");
}

TEST_CASE("a tier, an upstream or an alias asked for is all the caller gets", "[route]") {
    Call call;
    for (auto [model, order] : std::vector<std::pair<std::string, std::string>>{
             {"open", "open-a open-b"},
             {"open-b", "open-b"},
             {"fast", "here"},
             {"best", "far"},
             {"gpt-4o-mini", "here open-a open-b far"}}) {
        call.request.model = model;
        CHECK(call.order() == order);
    }
    call.request.model = "fast";
    auto route = call.route();
    REQUIRE(route);
    CHECK(route->rule == "model:fast");
    CHECK(route->reason == "model 'fast' stands for tier 'local'");
}

TEST_CASE("an unknown model is refused with what exists", "[route]") {
    Call call;
    call.request.model = "fronteir";
    auto route = call.route();
    REQUIRE(!route);
    CHECK(route.error().code == Errc::model_not_found);
    CHECK(route.error().param == "model");
    CHECK(route.error().message ==
          "There is no model 'fronteir', did you mean 'frontier'? Use 'auto', a tier (local, open, "
          "frontier), an upstream (here, open-a, open-b, far) or an alias (best, fast, "
          "gpt-4o-mini)");
}

TEST_CASE("a rule about restricted data catches an explicit model too", "[route]") {
    Call call(R"(
rules:
  - name: restricted stays home
    when: {data_class: [restricted]}
    use: local
    on_unavailable: refuse
)");
    call.labels.data_class = "restricted";
    call.request.model = "frontier";
    CHECK(call.order() == "here");
    call.fleet.disable("here");
    auto route = call.route();
    REQUIRE(!route);
    CHECK(route.error().code == Errc::no_upstream);
    CHECK(route.error().message ==
          "no upstream can take this request allowed by rule 'restricted stays home': here: not "
          "enabled, its key is not set");
}

TEST_CASE("the first matching rule wins and names itself", "[route]") {
    Call call(R"(
rules:
  - {name: one, when: {team: [legal]}, use: frontier}
  - {name: two, when: {tags: {app: search}}, upstream: open-b}
  - {name: three, when: {tags: {app: "*"}}, refuse: "this app may not call models"}
)");
    CHECK(call.order() == "here open-a open-b far");
    call.labels.tags["app"] = "other";
    auto refused = call.route();
    REQUIRE(!refused);
    CHECK(refused.error().code == Errc::forbidden);
    CHECK(refused.error().message == "this app may not call models (rule 'three')");
    call.labels.tags["app"] = "search";
    CHECK(call.order() == "open-b open-a far here");
    CHECK(call.route()->reason == "rule 'two' (line 16) sends it to upstream open-b");
    call.caller.team = "legal";
    CHECK(call.order() == "far open-a open-b here");
    CHECK(call.route()->rule == "one");
}

TEST_CASE("every condition of a rule must hold", "[route]") {
    Call call(R"(
rules:
  - name: all of it
    when:
      team: search
      key: [key-1, key-2]
      model: [auto, gpt-4o-mini]
      data_class: public
      input_tokens: {min: 50, below: 200}
      difficulty: {min: 0.1, below: 0.2}
      tools: true
      images: false
      audio: false
      files: false
      json_schema: false
    use: frontier
)");
    call.labels.data_class = "public";
    call.request.tools.push_back(Tool{});
    REQUIRE(call.route()->rule == "all of it");
    SECTION("team") { call.caller.team = "other"; }
    SECTION("key") { call.caller.key_id = "key-3"; }
    SECTION("model") { call.request.model = "open"; }
    SECTION("data class") { call.labels.data_class = ""; }
    SECTION("too few tokens") { call.input_tokens = 49; }
    SECTION("too many tokens") { call.input_tokens = 200; }
    SECTION("too easy") { call.difficulty.score = 0.09; }
    SECTION("too hard") { call.difficulty.score = 0.2; }
    SECTION("no tools") { call.request.tools.clear(); }
    SECTION("images") { call.request.messages[0].parts.push_back({Part::Kind::image, "", "", ""}); }
    SECTION("audio") { call.request.messages[0].parts.push_back({Part::Kind::audio, "", "", ""}); }
    SECTION("a file") { call.request.messages[0].parts.push_back({Part::Kind::file, "", "", ""}); }
    SECTION("json schema") { call.request.response_format = R"({"type":"json_object"})"; }
    CHECK(call.route()->rule != "all of it");
}

TEST_CASE("an upstream that cannot take the call is skipped with the reason", "[route]") {
    Call call;
    SECTION("tools") {
        call.fleet["here"].tools = false;
        call.request.tools.push_back(Tool{});
        CHECK(call.route()->skipped == std::vector<std::string>{"here: no tools"});
    }
    SECTION("images") {
        call.fleet["here"].images = false;
        call.request.messages[0].parts.push_back({Part::Kind::image, "", "", ""});
        CHECK(call.route()->skipped == std::vector<std::string>{"here: no images, audio or files"});
    }
    SECTION("JSON schema") {
        call.fleet["here"].json_schema = false;
        call.request.response_format = R"({"type":"json_object"})";
        CHECK(call.route()->skipped == std::vector<std::string>{"here: no JSON schema"});
    }
    SECTION("price") {
        call.fleet["here"].price_known = false;
        CHECK(call.route()->skipped == std::vector<std::string>{"here: its price is unknown"});
    }
    SECTION("a prompt that may be longer than the price is known for") {
        call.fleet["here"].price.input_tokens_max = 125;
        CHECK(call.route()->skipped.empty());
        call.fleet["here"].price.input_tokens_max = 124;
        CHECK(call.route()->skipped ==
              std::vector<std::string>{"here: its price is unknown above 124 input tokens, the "
                                       "prompt may have 125"});
    }
    SECTION("the price of a prompt that may be a long one") {
        call.request.max_tokens = 10;
        for (Upstream& one : call.fleet.upstreams) one.price = {};
        call.fleet["here"].price.long_prompts.push_back({124, {{}, {}, {}, {}, 5'000'000}});
        call.labels.max_cost = Money{50'000'000};
        CHECK(call.route()->skipped.empty());
        call.labels.max_cost = Money{49'999'999};
        CHECK_THAT(call.route()->skipped.front(), Catch::Contains("here: may cost $0.00005"));
    }
    SECTION("window") {
        call.fleet["here"].context_tokens = 2'048;
        call.request.max_tokens = 1'949;
        CHECK(call.route()->skipped ==
              std::vector<std::string>{
                  "here: needs 2049 tokens (100 in the prompt), its window has 2048"});
    }
    SECTION("no key") {
        call.fleet.disable("here");
        CHECK(call.route()->skipped ==
              std::vector<std::string>{"here: not enabled, its key is not set"});
    }
    CHECK(call.order() == "open-a open-b far");
}

TEST_CASE("a prompt that just fits the window is taken", "[route]") {
    Call call;
    call.fleet["here"].context_tokens = 2'048;
    call.request.max_tokens = 1'948;
    CHECK(call.order() == "here open-a open-b far");
    // Without max_tokens a small window is not refused for the default of a large one.
    call.request.max_tokens.reset();
    call.input_tokens = 1'024;
    CHECK(call.order() == "here open-a open-b far");
    call.input_tokens = 1'025;
    CHECK(call.order() == "open-a open-b far");
}

TEST_CASE("an upstream dearer than x-sluice-max-cost-usd is skipped", "[route]") {
    Call call;
    call.difficulty.score = 0.9;
    call.request.max_tokens = 1'000;
    call.labels.max_cost = Money{4'200'000'000};  // open: 100 * 2 + 1,000 * 4 = $0.0042
    CHECK(call.order() == "open-a open-b here");
    CHECK(call.route()->skipped ==
          std::vector<std::string>{"far: may cost $0.0525, more than $0.0042 allowed by "
                                   "x-sluice-max-cost-usd"});
    call.request.model = "far";
    auto refused = call.route();
    REQUIRE(!refused);
    CHECK(refused.error().code == Errc::over_budget);
}

TEST_CASE("an upstream that may cost more than the budget has left is skipped", "[route]") {
    Call call;
    call.difficulty.score = 0.9;
    call.request.max_tokens = 1'000;
    call.budget_left = Money{4'200'000'000};
    CHECK(call.order() == "open-a open-b here");
    CHECK(call.route()->skipped ==
          std::vector<std::string>{
              "far: may cost $0.0525, the budget of team 't' a day has $0.0042 left"});
    call.budget_left = Money{-5};   // what is spent already may be more than was allowed
    CHECK(call.order() == "here");  // costs nothing
    call.request.model = "far";
    auto refused = call.route();
    REQUIRE(!refused);
    CHECK(refused.error().code == Errc::budget_spent);
    call.budget_left = Money{INT64_MAX};
    CHECK(call.order() == "far");
}

TEST_CASE("a cooling upstream is skipped while another is up, else tried", "[route]") {
    Call call;
    call.fleet.down("here");
    CHECK(call.order() == "open-a open-b far");
    CHECK(call.route()->skipped == std::vector<std::string>{"here: cooling down after 429"});
    call.request.model = "local";
    CHECK(call.order() == "here");
    CHECK(call.route()->skipped.empty());
    call.request.model = "open";
    call.fleet.down("open-a");
    call.fleet.down("open-b");
    CHECK(call.order() == "open-a open-b");
}

TEST_CASE("when nothing can take the call the one reason names the error", "[route]") {
    Call call;
    SECTION("too long for every window") {
        call.input_tokens = 40'000;
        call.fleet.disable("far");  // an absent upstream does not hide the reason
        auto route = call.route();
        REQUIRE(!route);
        CHECK(route.error().code == Errc::context_length_exceeded);
        CHECK_THAT(route.error().message,
                   Catch::Contains("open-a: needs 44096 tokens (40000 in the prompt), its window "
                                   "has 32768"));
    }
    SECTION("no tools anywhere") {
        for (Upstream& one : call.fleet.upstreams) one.tools = false;
        call.request.tools.push_back(Tool{});
        auto route = call.route();
        REQUIRE(!route);
        CHECK(route.error().code == Errc::unsupported_parameter);
        CHECK(route.error().param == "tools");
    }
    SECTION("no price anywhere") {
        for (Upstream& one : call.fleet.upstreams) one.price_known = false;
        CHECK(call.route().error().code == Errc::price_unknown);
    }
    SECTION("reasons of several kinds") {
        for (Upstream& one : call.fleet.upstreams) one.price_known = false;
        call.fleet["far"].tools = false;
        call.request.tools.push_back(Tool{});
        auto route = call.route();
        CHECK(route.error().code == Errc::no_upstream);
        CHECK_THAT(route.error().message, Catch::Contains("far: no tools"));
        CHECK_THAT(route.error().message, Catch::Contains("here: its price is unknown"));
    }
}

TEST_CASE("two hundred rules are passed in microseconds", "[route]") {
    std::string rules = "rules:\n";
    for (int i = 0; i < 200; ++i) {
        std::string n = std::to_string(i);
        rules += "  - {name: rule " + n + ", when: {team: team-" + n +
                 ", data_class: [restricted, secret], tags: {app: a" + n + "}}, use: local}\n";
    }
    Call call(rules);
    call.labels.tags["app"] = "a200";
    const std::clock_t start = std::clock();  // of this process alone, however busy the machine
    constexpr int times = 2'000;
    std::size_t attempts = 0;
    for (int i = 0; i < times; ++i) attempts += call.route()->attempts.size();
    const double took_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const double us = took_s * 1e6 / times;
    CHECK(attempts == 4 * times);
    INFO(us << " us a route");
    CHECK(us < 200);  // 2 us when measured alone; wide for sanitizers and slow machines
}

}  // namespace sluice
