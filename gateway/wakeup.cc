#include "gateway/wakeup.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <utility>

namespace sluice {

template <class Resume>
struct Wakeup::HeldResume final : Wakeup::Held {
    Resume call;
    explicit HeldResume(Resume given) : call(std::move(given)) {}
    void resume() override { std::move(call)(); }
};

net::awaitable<void> Wakeup::wait() {
    assert(!held_);
    auto hold = [this](auto&& resume) {
        using Resume = std::decay_t<decltype(resume)>;
        held_ = std::make_unique<HeldResume<Resume>>(std::forward<decltype(resume)>(resume));
    };
    return net::async_initiate<const net::use_awaitable_t<>, void()>(hold, net::use_awaitable);
}

void Wakeup::wake() {
    auto held = std::move(held_);
    if (held) held->resume();
}

void Wakeup::wake_later(net::io_context& io) {
    if (!held_) return;
    net::post(io, [held = std::move(held_)] { held->resume(); });
}

}  // namespace sluice
