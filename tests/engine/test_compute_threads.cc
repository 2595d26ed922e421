#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "engine/cpu/compute_threads.h"

using namespace sluice;

TEST_CASE("every chunk of every piece of work is done once", "[cpu]") {
    for (int count : {1, 2, 5}) {
        ComputeThreads threads(count);
        REQUIRE(threads.count() == count);
        std::vector<int> done;
        for (int piece = 0; piece < 3000; ++piece) {
            int chunks = piece % 23;
            done.assign(static_cast<std::size_t>(chunks), 0);  // plain: each is one thread's
            threads.run(chunks,
                        [&](int chunk) { done[static_cast<std::size_t>(chunk)] += chunk + 1; });
            for (int chunk = 0; chunk < chunks; ++chunk)
                REQUIRE(done[static_cast<std::size_t>(chunk)] == chunk + 1);
        }
    }
}

TEST_CASE("work sees what the piece before it wrote", "[cpu]") {
    ComputeThreads threads(3);
    std::vector<long> values(64, 1);
    for (int piece = 0; piece < 500; ++piece) {
        long expected = std::accumulate(values.begin(), values.end(), 0L) % 1000;
        std::vector<long> next(values.size());
        threads.run(static_cast<int>(values.size()), [&](int chunk) {
            next[static_cast<std::size_t>(chunk)] =
                std::accumulate(values.begin(), values.end(), 0L) % 1000;
        });
        REQUIRE(std::count(next.begin(), next.end(), expected) == 64);
        values = next;
    }
}
