// A deadline on any awaitable: co_await within(limit, work). When the limit passes first the work
// is cancelled, waited for, and the result is Errc::timed_out. One io thread: the caller's.
// Costs two coroutines and a timer: fine once a request, too dear once a token.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <variant>

#include "engine/result.h"

namespace sluice {

namespace net = boost::asio;

inline net::awaitable<void> sleep_for(std::chrono::milliseconds limit) {
    net::steady_timer timer(co_await net::this_coro::executor, limit);
    co_await timer.async_wait(net::as_tuple(net::use_awaitable));
}

template <class T>
net::awaitable<Result<T>> within(std::chrono::milliseconds limit, net::awaitable<Result<T>> work) {
    using net::experimental::awaitable_operators::operator||;
    auto outcome = co_await (std::move(work) || sleep_for(limit));
    if (outcome.index() == 1) {
        co_return Error(Errc::timed_out,
                        "not done within " + std::to_string(limit.count()) + " ms");
    }
    co_return std::get<0>(std::move(outcome));
}

}  // namespace sluice
