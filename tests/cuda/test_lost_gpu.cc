// A fault in a kernel, and the engine after it. Hidden: it takes the process's CUDA context along,
// so it has a process of its own: `cuda_tests "[lost_gpu]"`.
#include "tests/cuda/gpu_engine.h"
#include "tests/cuda/lose_gpu.h"

using namespace sluice;

TEST_CASE("an engine whose GPU was lost opens it again and answers as before", "[.][lost_gpu]") {
    GpuEngine engine;
    const Ask ask(tokens_of(300, 9));
    const Told before = engine.run(ask);
    REQUIRE(before.last.finish == FinishReason::length);

    REQUIRE(lose_gpu());
    Told lost;
    engine.ask(ask, lost);
    engine.wait_last(lost);
    CHECK(lost.last.finish == FinishReason::failed);

    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!engine.engine().occupancy().up && std::chrono::steady_clock::now() < until)
        std::this_thread::yield();
    REQUIRE(engine.engine().occupancy().up);
    const Told after = engine.run(ask);
    CHECK(after.tokens == before.tokens);
    CHECK(after.logprobs == before.logprobs);
    CHECK(engine.pages_come_back());
}
