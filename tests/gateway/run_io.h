// Runs one coroutine on an io_context until it is done, then whatever it leaves behind is stopped.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <exception>
#include <utility>

namespace sluice::fake {

// `work` makes the coroutine; it lives until the coroutine is done, so a lambda may capture.
template <class Work>
void run_io(boost::asio::io_context& io, Work work) {
    bool finished = false;
    std::exception_ptr thrown;
    boost::asio::co_spawn(io, work, [&](std::exception_ptr e) {
        finished = true;
        thrown = e;
        io.stop();
    });
    io.run_for(std::chrono::seconds(120));
    if (thrown) std::rethrow_exception(thrown);
    REQUIRE(finished);
    io.restart();
}

// Handles what is ready until `done` says so; fails the test after 60 seconds.
template <class Condition>
void run_until(boost::asio::io_context& io, Condition done) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        io.restart();
        io.run_one_for(std::chrono::milliseconds(100));
    }
    io.restart();
}

}  // namespace sluice::fake
