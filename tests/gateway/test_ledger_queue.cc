#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <thread>

#include "gateway/ledger_queue.h"

namespace {

using namespace sluice;

LedgerBatchPtr batch_of(net::io_context& io, int thread, int number) {
    std::vector<LedgerEntry> entries(1);
    entries[0].attempt = thread;
    entries[0].http_status = number;
    return std::make_shared<LedgerBatch>(std::move(entries), io.get_executor());
}

}  // namespace

TEST_CASE("what many threads push is taken once, in each one's order, by a taker that sleeps",
          "[ledger]") {
    constexpr int threads = 4;
    constexpr int pushes = 5'000;
    net::io_context io(1);
    LedgerQueue queue;
    REQUIRE(queue.ready());
    std::vector<std::thread> pushing;
    for (int t = 0; t < threads; ++t)
        pushing.emplace_back([&, t] {
            for (int n = 0; n < pushes; ++n) queue.push(batch_of(io, t, n));
        });
    std::deque<LedgerBatchPtr> taken;
    while (taken.size() < threads * pushes) {
        queue.wait();
        queue.take(taken);
    }
    for (std::thread& thread : pushing) thread.join();
    std::map<int, int> next;
    bool in_order = true;
    for (const LedgerBatchPtr& batch : taken)
        in_order = in_order && batch->entries[0].http_status == next[batch->entries[0].attempt]++;
    CHECK(in_order);
    CHECK(taken.size() == threads * pushes);
    queue.take(taken);
    CHECK(taken.size() == threads * pushes);
}

TEST_CASE("a closed queue wakes its taker, and what is left in it is freed", "[ledger]") {
    net::io_context io(1);
    std::weak_ptr<LedgerBatch> left;
    {
        LedgerQueue queue;
        std::thread closing([&] { queue.close(); });
        queue.wait();
        CHECK(queue.closed());
        closing.join();
        queue.wait();                                     // at once
        queue.wait_closed(std::chrono::milliseconds(1));  // as long as asked
        LedgerBatchPtr batch = batch_of(io, 0, 0);
        left = batch;
        queue.push(std::move(batch));
        CHECK(!left.expired());
    }
    CHECK(left.expired());
}

TEST_CASE("nothing is posted for a batch that nobody waits for, and who leaves waits for a post",
          "[ledger]") {
    net::io_context io(1);
    LedgerBatchPtr gone = batch_of(io, 0, 0);
    gone->leave();
    CHECK(!gone->claim());
    for (int round = 0; round < 500; ++round) {
        LedgerBatchPtr batch = batch_of(io, 0, 0);
        bool posted = false;  // guarded by the claim
        std::thread ledger([&] {
            if (!batch->claim()) return;
            posted = true;
            batch->release();
        });
        batch->leave();
        bool seen = posted;  // a race, were it not for leave()
        ledger.join();
        CHECK(seen == posted);
    }
}
