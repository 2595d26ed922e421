#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "engine/log.h"

TEST_CASE("the log goes where it is told to, a line at a time", "[log]") {
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    sluice::log_to(ends[1]);
    sluice::log_info("tried", {{"count", 3}, {"name", "a\"b"}});
    sluice::log_to(STDOUT_FILENO);
    close(ends[1]);
    std::string text(4'096, '\0');
    text.resize(static_cast<std::size_t>(read(ends[0], text.data(), text.size())));
    close(ends[0]);
    CHECK(text.rfind(R"({"event":"tried","count":3,"name":"a\"b","level":"info","ts":)", 0) == 0);
    CHECK(text.find('\n') == text.size() - 1);
}
