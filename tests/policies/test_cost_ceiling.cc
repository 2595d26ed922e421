#include "policies/cost_ceiling.h"

#include <catch2/catch.hpp>

namespace sluice {

TEST_CASE("a prompt that is marked for a cache may be written to it whole", "[route]") {
    Price price;
    price.input = 5;
    price.output = 25;
    price.cache_read = 1;
    price.cache_write = 6;
    price.cache_write_1h = 10;
    ChatRequest request;
    request.messages.resize(2);
    request.messages[0].parts.resize(1);
    CHECK(cost_ceiling(request, 1'000, 10, price).pico_usd == 5'250);
    request.messages[0].parts[0].cache_control = "{\"type\":\"ephemeral\"}";
    CHECK(cost_ceiling(request, 1'000, 10, price).pico_usd == 6'250);
    request.tools.resize(1);
    request.tools[0].cache_control = "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}";
    CHECK(cost_ceiling(request, 1'000, 10, price).pico_usd == 10'250);
    price.cache_write = price.cache_write_1h = 2;  // a vendor that does not charge for it
    CHECK(cost_ceiling(request, 1'000, 10, price).pico_usd == 5'250);
}

}  // namespace sluice
