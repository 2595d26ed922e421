#include <catch2/catch.hpp>

#include "gateway/delta_stream.h"

TEST_CASE("a stop wakes its watches once and a destroyed watch not at all", "[stop]") {
    sluice::Stop stop;
    int kept = 0;
    int dropped = 0;
    sluice::Stop::Watch watch(stop, [&] { ++kept; });
    {
        sluice::Stop::Watch gone(stop, [&] { ++dropped; });
    }
    stop.request();
    stop.request();
    CHECK(kept == 1);
    CHECK(dropped == 0);
    int late = 0;
    sluice::Stop::Watch after(stop, [&] { ++late; });
    CHECK(late == 1);
}
