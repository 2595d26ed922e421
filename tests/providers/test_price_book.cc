#include <catch2/catch.hpp>

#include "providers/price_book.h"

using namespace sluice;

namespace {

PriceBook read_entries(const std::string& entries, std::vector<std::string>& said) {
    std::vector<Fault> faults;
    PriceBook book = PriceBook::read("version: 1\nprices:\n" + entries, "p.yaml", faults);
    for (const Fault& fault : faults) said.push_back(fault.text());
    return book;
}

std::string entry(const std::string& more) {
    return "  - {vendor: v, model: m, source: s, checked: 2026-01-01, " + more + "}\n";
}

}  // namespace

TEST_CASE("the built-in price book has no fault and every price a source", "[prices]") {
    const PriceBook& book = PriceBook::builtin();
    CHECK(book.entries().size() > 40);
    for (const PriceEntry& one : book.entries()) {
        INFO(one.vendor << " " << one.model);
        CHECK_FALSE(one.source.empty());
        CHECK(one.checked.size() == 10);
        CHECK(one.price.input > 0);
        CHECK(one.price.output > 0);
    }
    const PriceEntry* tput =
        book.find("together", "deepseek-ai/DeepSeek-R1-0528-tput", "2026-11-22");
    REQUIRE(tput);
    CHECK(tput->price.input == 550'000);
    CHECK(tput->price.cache_read == 550'000);
    CHECK(tput->price.output == 2'190'000);
    REQUIRE(book.find("simulated-anthropic", "sim-frontier", "2026-11-22"));
    CHECK_FALSE(book.find("together", "unheard-of", "2026-11-22"));
    CHECK_FALSE(book.find("", "", ""));
}

TEST_CASE("a dated price changes on its day", "[prices]") {
    const PriceBook& book = PriceBook::builtin();
    CHECK(book.find("anthropic", "claude-sonnet-5", "2026-08-31")->price.input == 2'000'000);
    CHECK(book.find("anthropic", "claude-sonnet-5", "2026-09-01")->price.input == 3'000'000);
    CHECK(book.find("openai", "gpt-5.6-terra", "2026-07-29")->price.output == 15'000'000);
    CHECK(book.find("openai", "gpt-5.6-terra", "2026-07-30")->price.output == 12'000'000);
}

TEST_CASE("what is not said is priced as the next dearer thing", "[prices]") {
    std::vector<std::string> said;
    PriceBook book = read_entries(
        entry("input: '2', output: '1', cache_write: '3'") +
            "  - {vendor: v, model: n, source: s, checked: 2026-01-01, input: '2', output: '1'}\n",
        said);
    REQUIRE(said.empty());
    CHECK(book.find("v", "m", "2026-01-01")->price.cache_write_1h == 3'000'000);
    CHECK(book.find("v", "n", "2026-01-01")->price.cache_write_1h == 2'000'000);
    CHECK(book.find("v", "n", "2026-01-01")->price.cache_read == 2'000'000);
}

TEST_CASE("a longer prompt has its own price, from one token above the mark", "[prices]") {
    std::vector<std::string> said;
    PriceBook book = read_entries(
        entry("input: '2', output: '8', long_prompts: [{above_input_tokens: 100, input: '3', "
              "output: '9', cached_input: '1'}, {above_input_tokens: 1000, input: '5', "
              "output: '9'}], input_tokens_max: 5000"),
        said);
    REQUIRE(said.empty());
    const Price& price = book.find("v", "m", "2026-01-01")->price;
    CHECK(price.of(100).input == 2'000'000);
    CHECK(price.of(101).input == 3'000'000);
    CHECK(price.of(101).cache_read == 1'000'000);
    CHECK(price.of(101).cache_write_1h == 3'000'000);
    CHECK(price.of(1000).output == 9'000'000);
    CHECK(price.of(1001).input == 5'000'000);
    CHECK(price.of(1001).cache_read == 5'000'000);
    CHECK(price.known_for(5000));
    CHECK_FALSE(price.known_for(5001));
    CHECK(price.of(5001).input == 5'000'000);
    // 90 tokens may be 112: the ceiling takes the price above the mark, and the tokens as they are.
    CHECK(cost_at_most(80, 1, price).pico_usd == 80 * 2'000'000 + 8'000'000);
    CHECK(cost_at_most(90, 1, price).pico_usd == 90 * 3'000'000 + 9'000'000);
}

TEST_CASE("long prompts of the built-in book are priced as their vendors say", "[prices]") {
    struct Case {
        const char* vendor;
        const char* model;
        std::int64_t mark;
        std::int64_t input, output;  // above it
    };
    const Case cases[] = {
        {"anthropic", "claude-sonnet-4-5", 200'000, 6'000'000, 22'500'000},
        {"anthropic", "claude-sonnet-4-5-20250929", 200'000, 6'000'000, 22'500'000},
        {"anthropic", "claude-sonnet-4-6", 200'000, 3'000'000, 15'000'000},
        {"openai", "gpt-5.4", 272'000, 5'000'000, 22'500'000},
        {"openai", "gpt-5.4-pro", 272'000, 60'000'000, 270'000'000},
        {"openai", "gpt-5.5", 272'000, 10'000'000, 45'000'000},
        {"openai", "gpt-5.6-sol", 272'000, 10'000'000, 45'000'000},
    };
    for (const Case& one : cases) {
        INFO(one.model);
        const PriceEntry* entry = PriceBook::builtin().find(one.vendor, one.model, "2026-11-22");
        REQUIRE(entry);
        CHECK(&entry->price.of(one.mark) == &entry->price);
        CHECK(entry->price.of(one.mark + 1).input == one.input);
        CHECK(entry->price.of(one.mark + 1).output == one.output);
        CHECK(entry->price.known_for(1'000'000));
    }
    for (const char* model : {"gpt-5.5-pro", "gpt-5.6-terra", "gpt-5.6-luna"}) {
        const PriceEntry* entry = PriceBook::builtin().find("openai", model, "2026-11-22");
        REQUIRE(entry);
        CHECK(entry->price.known_for(272'000));
        CHECK_FALSE(entry->price.known_for(272'001));
    }
}

TEST_CASE("a price that cannot be right is a fault at its place", "[prices]") {
    struct Case {
        const char* keys;
        const char* fault;
    };
    const Case cases[] = {
        {"input: '-1', output: '1'", "only digits"},
        {"input: '1'", "missing key 'output'"},
        {"input: '1', output: '200.000001'", "above $200"},
        {"input: '1', output: '1', cached_input: '1.1'", "costs more than a fresh one"},
        {"input: '1', output: '1', cache_write: '0.9'", "costs less than not writing"},
        {"input: '1', output: '1', cache_write_1h: '0.9'", "costs less than for 5 minutes"},
        {"input: '0.0000001', output: '1'", "more decimals"},
        {"input: '1', output: '1', effective_from: 2026-13-01", "expected a date"},
        {"input: '1', output: '1', effective_from: 2026-02-01, effective_to: 2026-02-01",
         "must be after"},
        {"input: '1', output: '1', ouput: '1'", "unknown key 'ouput'"},
        {"input: '1', output: '1', long_prompts: [{input: '1', output: '1'}]",
         "missing key 'above_input_tokens'"},
        {"input: '1', output: '1', long_prompts: [{above_input_tokens: 9, input: '1'}]",
         "missing key 'output'"},
        {"input: '2', output: '1', long_prompts: [{above_input_tokens: 9, input: '1', output: "
         "'1'}]",
         "a longer prompt costs less"},
        {"input: '1', output: '1', long_prompts: [{above_input_tokens: 9, input: '1', output: '1'},"
         " {above_input_tokens: 9, input: '1', output: '1'}]",
         "expected more than 9, the mark before it"},
        {"input: '1', output: '1', long_prompts: [{above_input_tokens: 9, input: '1', output: "
         "'1'}],"
         " input_tokens_max: 9",
         "expected more than the last above_input_tokens"},
        {"input: '1', output: '1', long_prompts: [{above_input_tokens: 9, input: '1', output: '1',"
         " over: 1}]",
         "unknown key 'over'"},
        {"input: '1', output: '1', input_tokens_max: 0", "input_tokens_max"},
    };
    for (const Case& one : cases) {
        std::vector<std::string> said;
        PriceBook book = read_entries(entry(one.keys), said);
        INFO(one.keys);
        REQUIRE(said.size() == 1);
        CHECK(said[0].rfind("p.yaml:3:", 0) == 0);
        CHECK(said[0].find(one.fault) != std::string::npos);
        CHECK(book.entries().empty());
    }
    std::vector<std::string> said;
    PriceBook book = read_entries(entry("input: '1', output: '540000', allow_extreme: true"), said);
    CHECK(said.empty());
    CHECK(book.entries().size() == 1);
}

TEST_CASE("two prices of one model for the same days are a fault", "[prices]") {
    auto faults_of = [](const std::string& first, const std::string& second) {
        std::vector<std::string> said;
        read_entries(
            entry("input: '1', output: '1'" + first) + entry("input: '2', output: '2'" + second),
            said);
        return said.size();
    };
    CHECK(faults_of("", "") == 1);
    CHECK(faults_of(", effective_to: 2026-02-02", ", effective_from: 2026-02-01") == 1);
    CHECK(faults_of(", effective_from: 2026-02-01", ", effective_from: 2026-03-01") == 1);
    CHECK(faults_of(", effective_to: 2026-02-01", ", effective_from: 2026-02-01") == 0);
    CHECK(faults_of(", effective_from: 2026-02-01", ", effective_to: 2026-02-01") == 0);
}

TEST_CASE("a price file that is no price file says so", "[prices]") {
    for (const char* yaml : {"", "[]", "version: 2\nprices: []\n", "version: 1\n", "a: [", "x"}) {
        std::vector<Fault> faults;
        PriceBook::read(yaml, "p.yaml", faults);
        INFO(yaml);
        CHECK_FALSE(faults.empty());
    }
}
