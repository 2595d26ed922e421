#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gateway/config.h"

namespace {

using namespace sluice;

// A folder of its own with a policy beside the configuration.
class ConfigFolder {
public:
    ConfigFolder() {
        char pattern[] = "/tmp/sluice-config-XXXXXX";
        path_ = mkdtemp(pattern);
        write("policy.yaml",
              "version: 1\ntiers:\n  open: [one]\ndefault:\n  bands:\n    - {tier: open}\n");
        write("model.gguf", "x");
    }
    ~ConfigFolder() { std::filesystem::remove_all(path_); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
    }
    Result<ConfigPtr> load(const std::string& yaml) const {
        write("config.yaml", yaml);
        return load_config(path_ + "/config.yaml", "2026-11-22");
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

const std::string key_line =
    "  - {id: demo, team: t, sha256: "
    "1c590839af894cf25f9a5fe06929af05b377f60efbe55508ef93d251887b9213}\n";
const std::string upstream_line =
    "  - {name: one, vendor: simulated-openai, model: sim-reasoner, base_url: "
    "'http://127.0.0.1:9/v1'}\n";

std::string good_config() {
    return "version: 1\nlisten: 127.0.0.1:0\nledger: {url: 'sqlite:l.db'}\npolicy: policy.yaml\n"
           "keys:\n" +
           key_line + "upstreams:\n" + upstream_line;
}

}  // namespace

TEST_CASE("a good configuration is read with its prices, policy and paths", "[config]") {
    ConfigFolder folder;
    auto config = folder.load(good_config());
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    const Upstream* one = (*config)->upstream("one");
    REQUIRE(one != nullptr);
    CHECK(one->price_known);
    CHECK(one->price.output == 2'190'000);
    CHECK(one->vendor.simulated);
    CHECK((*config)->ledger.url == "sqlite:" + folder.path() + "/l.db");
    CHECK((*config)->baseline() == one);
    CHECK((*config)->keys.size() == 1);
}

TEST_CASE("a key's priority is its caller's, and out of range a fault with its place", "[config]") {
    ConfigFolder folder;
    const auto with = [](const std::string& priority) {
        std::string yaml = good_config();
        yaml.replace(yaml.find("team: t,"), 8, "team: t, priority: " + priority + ",");
        return yaml;
    };
    for (const int priority : {-8, 0, 8}) {
        auto config = folder.load(with(std::to_string(priority)));
        INFO((config ? "" : config.error().message));
        REQUIRE(config);
        CHECK((*config)->keys.all().front().caller.priority == priority);
    }
    for (const char* wrong : {"9", "-9", "high"}) {
        auto config = folder.load(with(wrong));
        REQUIRE(!config);
        CHECK_THAT(config.error().message,
                   Catch::Contains("config.yaml:6:35: keys[0].priority: expected"));
    }
}

TEST_CASE("every fault of a configuration is named with its place in one pass", "[config]") {
    ConfigFolder folder;
    auto config = folder.load(
        "version: 2\nlisten: nowhere\nledgr: {url: 'sqlite:l.db'}\npolicy: policy.yaml\n"
        "keys:\n  - {id: demo, team: t, sha256: abc}\n"
        "upstreams:\n  - {name: one, vendor: opnai, model: m}\n"
        "  - {name: one, vendor: simulated-openai, model: no-such, base_url: 'http://x'}\n");
    REQUIRE(!config);
    const std::string& said = config.error().message;
    CHECK(said.find("config.yaml:1:10: version: expected 1 to 1, got '2'") != std::string::npos);
    CHECK(said.find("config.yaml:2:9: listen: expected ADDRESS:PORT") != std::string::npos);
    CHECK(said.find("config.yaml:3:1: unknown key 'ledgr', did you mean 'ledger'?") !=
          std::string::npos);
    CHECK(said.find("missing key 'ledger'") != std::string::npos);
    CHECK(said.find("config.yaml:6:33: keys[0].sha256: expected the 64 hex digits") !=
          std::string::npos);
    CHECK(said.find("unknown vendor 'opnai', did you mean 'openai'?") != std::string::npos);
    CHECK(said.find("config.yaml:9:12: upstreams[1].name: duplicate upstream 'one'") !=
          std::string::npos);
    CHECK(said.find("no price in force on 2026-11-22 for vendor simulated-openai, model no-such") !=
          std::string::npos);
}

TEST_CASE("an upstream without its key is a fault, unless it is optional", "[config]") {
    ConfigFolder folder;
    unsetenv("SLUICE_TEST_KEY");
    std::string keyed =
        "  - {name: one, vendor: simulated-openai, model: sim-reasoner, base_url: 'http://x', "
        "api_key_env: SLUICE_TEST_KEY";
    std::string head = good_config();
    head.resize(head.size() - upstream_line.size());
    auto refused = folder.load(head + keyed + "}\n");
    REQUIRE(!refused);
    CHECK(refused.error().message.find("SLUICE_TEST_KEY is not set") != std::string::npos);

    auto without = folder.load(head + keyed + ", optional: true}\n");
    REQUIRE(without);
    CHECK((*without)->upstreams.empty());
    REQUIRE((*without)->disabled.size() == 1);
    CHECK((*without)->disabled[0] == "one: SLUICE_TEST_KEY is not set");

    setenv("SLUICE_TEST_KEY", "sk-x", 1);
    auto with = folder.load(head + keyed + ", optional: true}\n");
    REQUIRE(with);
    CHECK((*with)->upstream("one")->api_key.reveal() == "sk-x");
    unsetenv("SLUICE_TEST_KEY");
}

TEST_CASE("the engine's price an output token is its hour over its planned tokens", "[config]") {
    ConfigFolder folder;
    std::string engine =
        "engine: {model: model.gguf, gpu_hour_usd: '2.50', tokens_per_hour: 3000000}\n";
    std::string head = good_config();
    head.resize(head.size() - upstream_line.size());
    auto config = folder.load(engine + head + "  - {name: one, vendor: engine}\n");
    REQUIRE(config);
    CHECK((*config)->upstream("one")->price.output == 833'334);  // 2.5e12 / 3e6, rounded up
    // The price book's default: a prompt token read from a cache costs what any other does.
    CHECK((*config)->upstream("one")->price.cache_read == (*config)->upstream("one")->price.input);

    auto zero = folder.load("engine: {model: model.gguf, gpu_hour_usd: '0'}\n" + head +
                            "  - {name: one, vendor: engine}\n");
    REQUIRE(zero);
    REQUIRE((*zero)->warnings.size() == 1);

    auto unspread = folder.load("engine: {model: model.gguf, gpu_hour_usd: '2.50'}\n" + head +
                                "  - {name: one, vendor: engine}\n");
    REQUIRE(!unspread);
    CHECK(unspread.error().message.find("tokens_per_hour") != std::string::npos);
}

TEST_CASE("the engine's model is a file or a folder, and is called after it", "[config]") {
    ConfigFolder folder;
    std::filesystem::create_directory(folder.path() + "/qwen2.5-1.5b");
    std::string head = good_config();
    head.resize(head.size() - upstream_line.size());
    auto name_of = [&](const std::string& model) {
        auto config = folder.load("engine: {model: " + model + ", gpu_hour_usd: '0'}\n" + head +
                                  "  - {name: one, vendor: engine}\n");
        return config ? (*config)->upstream("one")->model : config.error().message;
    };
    CHECK(name_of("model.gguf") == "model");
    CHECK(name_of("qwen2.5-1.5b") == "qwen2.5-1.5b");
    CHECK(name_of("qwen2.5-1.5b/") == "qwen2.5-1.5b");
    CHECK(name_of("none").find("no such file or folder") != std::string::npos);
    CHECK(name_of("''").find("no such file or folder") != std::string::npos);
}

TEST_CASE("the model's and the ledger's paths may name the environment", "[config]") {
    ConfigFolder folder;
    std::string head = good_config();
    head.resize(head.size() - upstream_line.size());
    head.replace(head.find("l.db"), 4, "${SLUICE_TEST_PLACE}.db");
    const std::string text = "engine: {model: '${SLUICE_TEST_PLACE}', gpu_hour_usd: '0'}\n" + head +
                             "  - {name: one, vendor: engine}\n";
    unsetenv("SLUICE_TEST_PLACE");
    auto unset = folder.load(text);
    REQUIRE_FALSE(unset);
    CHECK(unset.error().message.find("SLUICE_TEST_PLACE is not set") != std::string::npos);
    setenv("SLUICE_TEST_PLACE", "model.gguf", 1);
    auto config = folder.load(text);
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    CHECK((*config)->ledger.url == "sqlite:" + folder.path() + "/model.gguf.db");
    CHECK((*config)->upstream("one")->model == "model");
    unsetenv("SLUICE_TEST_PLACE");
}

TEST_CASE("a base URL may name the environment with a default", "[config]") {
    ConfigFolder folder;
    unsetenv("SLUICE_TEST_URL");
    std::string head = good_config();
    head.resize(head.size() - upstream_line.size());
    std::string upstream =
        "  - {name: one, vendor: simulated-openai, model: sim-reasoner, base_url: "
        "'${SLUICE_TEST_URL:-http://127.0.0.1:7}/v1/'}\n";
    auto plain = folder.load(head + upstream);
    REQUIRE(plain);
    CHECK((*plain)->upstream("one")->base_url == "http://127.0.0.1:7/v1");
    setenv("SLUICE_TEST_URL", "http://127.0.0.1:8", 1);
    auto given = folder.load(head + upstream);
    REQUIRE(given);
    CHECK((*given)->upstream("one")->base_url == "http://127.0.0.1:8/v1");
    unsetenv("SLUICE_TEST_URL");
}

TEST_CASE("what is no file of a fit size in a configuration's place is a fault", "[config]") {
    ConfigFolder folder;
    auto loaded = load_config(folder.path(), "2026-11-22");
    REQUIRE(!loaded);
    CHECK(loaded.error().message == folder.path() + ": cannot read this file (of at most 16 MiB)");
    CHECK(!load_config(folder.path() + "/none.yaml", "2026-11-22"));
    CHECK(!folder.load(good_config() + "#" + std::string(16U << 20, 'x')));
    CHECK(folder.load(good_config() + "#" + std::string(100'000, 'x')));
    std::filesystem::remove(folder.path() + "/policy.yaml");
    std::filesystem::create_directory(folder.path() + "/policy.yaml");
    CHECK(!folder.load(good_config()));
}

TEST_CASE("a change of listen, ledger or engine needs a restart and is named", "[config]") {
    ConfigFolder folder;
    auto now = folder.load(good_config());
    REQUIRE(now);
    std::string moved = good_config();
    moved.replace(moved.find("l.db"), 4, "m.db");
    auto next = folder.load(moved);
    REQUIRE(next);
    CHECK(needs_restart(**now, **next) == "ledger.url");
    CHECK(needs_restart(**now, **now).empty());
}

TEST_CASE("batch invariance is off unless it is asked for, and needs a restart", "[config]") {
    ConfigFolder folder;
    const auto load = [&](const std::string& extra) {
        return folder.load("engine: {model: model.gguf, gpu_hour_usd: '0'" + extra + "}\n" +
                           good_config());
    };
    const auto plain = load("");
    REQUIRE(plain);
    CHECK_FALSE((*plain)->engine->options.batch_invariant);
    const auto invariant = load(", batch_invariant: true");
    REQUIRE(invariant);
    CHECK((*invariant)->engine->options.batch_invariant);
    CHECK(needs_restart(**plain, **invariant) == "engine");
    CHECK_FALSE(load(", batch_invariant: maybe"));
}

TEST_CASE("the prefix cache is a team's own unless it is off", "[config]") {
    ConfigFolder folder;
    const auto load = [&](const std::string& extra) {
        return folder.load("engine: {model: model.gguf, gpu_hour_usd: '0'" + extra + "}\n" +
                           good_config());
    };
    const auto plain = load("");
    REQUIRE(plain);
    CHECK((*plain)->engine->answers.prefix_cache == PrefixCache::team);
    const auto off = load(", prefix_cache: \"off\"");
    REQUIRE(off);
    CHECK((*off)->engine->answers.prefix_cache == PrefixCache::off);
    CHECK(needs_restart(**plain, **off) == "engine");
    const auto bare = load(", prefix_cache: off");
    REQUIRE(bare);
    CHECK((*bare)->engine->answers.prefix_cache == PrefixCache::off);
    const auto wrong = load(", prefix_cache: global");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().message.find("prefix_cache") != std::string::npos);
}

TEST_CASE("budgets cover orgs, teams, keys or all, and '*' those without their own", "[config]") {
    ConfigFolder folder;
    std::string keys = "keys:\n";
    for (const char* one : {"a, org: x, team: s", "b, org: x, team: s", "c, org: y, team: t"})
        keys +=
            std::string("  - {id: ") + one + ", sha256: " + std::string(63, '0') + one[0] + "}\n";
    std::string head = good_config();
    head.replace(head.find("keys:\n"), 6 + key_line.size(), keys);
    auto config = folder.load(head +
                              "budgets:\n  time_zone: '-05:00'\n  limits:\n"
                              "    - {team: '*', per: month, usd: '30'}\n"
                              "    - {team: s, per: month, usd: '50.000000000001'}\n"
                              "    - {org: x, per: day, usd: '1'}\n"
                              "    - {key: '*', per: total, usd: '2'}\n"
                              "    - {all: true, per: day, usd: '9'}\n");
    INFO((config ? "" : config.error().message));
    REQUIRE(config);
    const BudgetSection& section = (*config)->budgets;
    CHECK(section.offset_s == -5 * 3'600);
    std::map<std::string, std::int64_t> limits;
    for (const Budget& one : section.budgets) limits[one.scope()] = one.limit.pico_usd;
    CHECK(limits.size() == 7);
    CHECK(limits["team:s:month"] == 50'000'000'000'001);
    CHECK(limits["team:t:month"] == 30'000'000'000'000);
    CHECK(limits.contains("key:c:total"));
    CHECK(limits.contains("all:day"));
    CHECK(section.by_key.at("a").size() == 4);
    CHECK(section.by_key.at("c").size() == 3);
    REQUIRE(section.by_key.contains(shadow_payer("x").key_id));  // by the org's and that of all
    CHECK(section.by_key.at(shadow_payer("x").key_id).size() == 2);
    CHECK(section.by_key.at(shadow_payer("y").key_id).size() == 1);
    CHECK(section.budgets[0].words == "team 's' a month");
}

TEST_CASE("a budget of nobody, of two at once or without an amount is a fault", "[config]") {
    ConfigFolder folder;
    auto config = folder.load(good_config() +
                              "budgets:\n  time_zone: Europe/Berlin\n  limits:\n"
                              "    - {team: tt, per: day, usd: '1'}\n"
                              "    - {team: t, key: demo, per: day, usd: '1'}\n"
                              "    - {per: day, usd: '1'}\n"
                              "    - {team: t, per: week, usd: '1'}\n"
                              "    - {team: t, per: day, usd: -1}\n"
                              "    - {team: t, per: day, usd: '1'}\n"
                              "    - {key: demo, per: day, uds: '1'}\n");
    REQUIRE(!config);
    const std::string& said = config.error().message;
    for (const char* fault :
         {"config.yaml:10:14: budgets.time_zone: expected an offset from UTC such as +02:00",
          "config.yaml:12:14: budgets.limits[0].team: no key has team 'tt', did you mean 't'?",
          "config.yaml:13:7: budgets.limits[1]: expected exactly one of org, team, key or all",
          "config.yaml:14:7: budgets.limits[2]: expected exactly one of org, team, key or all",
          "budgets.limits[3].per: expected one of day, month, total",
          "budgets.limits[4].usd: expected", "budgets.limits[5]: a second budget of team 't' a day",
          "unknown key 'uds', did you mean 'usd'?"}) {
        INFO(said);
        CHECK(said.find(fault) != std::string::npos);
    }
}
