// Ends the process's CUDA context, after which no other test could run:
// so it has a process of its own: `cuda_tests "[lost_gpu]"`.
#include <cstdlib>
#include <filesystem>

#include "tests/cuda/gpu_engine.h"
#include "tests/cuda/lose_gpu.h"

using namespace sluice;

// On the cards and drivers seen a process whose kernel failed gets its GPU never again, but a new
// one does at once. Should a driver give it back, the engine has opened it again and answers.
TEST_CASE("an engine whose GPU was lost fails its sequences, and another process may go on",
          "[.][lost_gpu]") {
    GpuEngine engine;
    const Ask ask(tokens_of(300, 9));
    const Told before = engine.run(ask);
    REQUIRE(before.last.finish == FinishReason::length);

    REQUIRE(lose_gpu());
    Told lost;
    engine.ask(ask, lost);
    engine.wait_last(lost);
    CHECK(lost.last.finish == FinishReason::failed);
    CHECK(lost.last.error.find("cudaError") != std::string::npos);
    CHECK_FALSE(engine.engine().occupancy().up);

    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    while (!engine.engine().occupancy().up && std::chrono::steady_clock::now() < until)
        std::this_thread::yield();
    if (engine.engine().occupancy().up) {
        const Told after = engine.run(ask);
        CHECK(after.tokens == before.tokens);
        CHECK(after.logprobs == before.logprobs);
        CHECK(engine.pages_come_back());
    } else {
        WARN("the driver does not give the GPU back to this process");
    }
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    CHECK(std::system(("'" + self + "' '[norm]' > /dev/null").c_str()) == 0);
}
