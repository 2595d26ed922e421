#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>

#include "providers/money.h"
#include "providers/usage.h"

using namespace sluice;

TEST_CASE("a price per million tokens becomes exact pico-dollars a token", "[money]") {
    CHECK(*pico_per_token("0.0028") == 2800);
    CHECK(*pico_per_token("2.20") == 2'200'000);
    CHECK(*pico_per_token("0") == 0);
    CHECK(*pico_per_token("0.000001") == 1);
    CHECK(*pico_per_token("0.0000010") == 1);
    CHECK(*pico_per_token("25") == 25'000'000);
    CHECK(*pico_per_token("9223372036854.775807") == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("a price that is no plain decimal or cannot be held exactly is refused", "[money]") {
    for (const char* text : {"", ".", "-1", "+1", "1e3", "1,5", "1.2.3", " 1", "1 ", "$1", "0x1",
                             "nan", "0.0000001", "9223372036854.775808", "99999999999999999999"}) {
        INFO(text);
        CHECK_FALSE(pico_per_token(text));
    }
    CHECK(pico_per_token("0.0000001").error().message.find("more decimals") != std::string::npos);
}

TEST_CASE("dollars are written exactly and read back", "[money]") {
    CHECK(usd_text(Money{0}) == "0.0");
    CHECK(usd_text(Money{1}) == "0.000000000001");
    CHECK(usd_text(Money{123456789}) == "0.000123456789");
    CHECK(usd_text(Money{pico_per_usd}) == "1.0");
    CHECK(usd_text(Money{-1'500'000'000'000}) == "-1.5");
    CHECK(usd_text(Money{std::numeric_limits<std::int64_t>::max()}) == "9223372.036854775807");
    CHECK(usd_text(Money{std::numeric_limits<std::int64_t>::min()}) == "-9223372.036854775808");
    for (std::int64_t pico : {0LL, 1LL, 2800LL, 999'999'999'999LL, 12'345'678'901'234LL})
        CHECK(parse_usd(usd_text(Money{pico}))->pico_usd == pico);
    CHECK_FALSE(parse_usd("0.0000000000001"));
    CHECK_FALSE(parse_usd("9223373"));
    CHECK_FALSE(parse_usd("-1"));
}

TEST_CASE("sums of money stop at the ends instead of wrapping", "[money]") {
    Money most{std::numeric_limits<std::int64_t>::max()};
    Money least{std::numeric_limits<std::int64_t>::min()};
    CHECK(most + Money{1} == most);
    CHECK(least + Money{-1} == least);
    CHECK(Money{2} + Money{-3} == Money{-1});
}

TEST_CASE("each kind of token is paid at its own price, once", "[money]") {
    Price price{{2'000'000, 200'000, 2'500'000, 4'000'000, 10'000'000}, {}, 0};
    Usage usage;
    usage.in_uncached = 1;
    usage.in_cache_read = 10;
    usage.in_cache_write = 100;
    usage.in_cache_write_1h = 1000;
    usage.out_text = 10'000;
    usage.out_reasoning = 100'000;
    CHECK(cost_of(usage, price).pico_usd == 2'000'000 + 2'000'000 + 250'000'000 + 4'000'000'000 +
                                                100'000'000'000 + 1'000'000'000'000);
    usage = Usage();
    usage.out_text = std::numeric_limits<std::int64_t>::max();
    CHECK(cost_of(usage, price).pico_usd == std::numeric_limits<std::int64_t>::max());
}
