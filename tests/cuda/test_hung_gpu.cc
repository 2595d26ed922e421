// A kernel that does not end holds the process's GPU, after which no other test could run: so this
// has a process of its own, `cuda_tests "[hung_gpu]"`, and puts another program in its place.
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "tests/cuda/gpu_engine.h"
#include "tests/cuda/lose_gpu.h"

using namespace sluice;

namespace {

constexpr int hangs_for_s = 60;  // beyond which the machine is not held

double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

TEST_CASE("a step that does not end fails its sequences, and a restart gives the GPU back",
          "[.][hung_gpu]") {
    EngineOptions options = options_on_gpu();
    options.step_ms_max = 500;
    auto engine = std::make_unique<GpuEngine>(options);
    const Ask ask(tokens_of(300, 9));
    REQUIRE(engine->run(ask).last.finish == FinishReason::length);
    const auto began = std::chrono::steady_clock::now();
    REQUIRE(occupy_gpu(hangs_for_s));
    std::vector<Told> told(2);
    for (Told& one : told) engine->ask(ask, one);
    for (Told& one : told) {
        engine->wait_last(one);
        REQUIRE(one.last.finish == FinishReason::failed);
        REQUIRE_THAT(one.last.error, Catch::Contains("it did not end within 500 ms"));
    }
    REQUIRE_FALSE(engine->engine().occupancy().up);
    // It is tried again, and says what would help.
    const auto file = std::make_shared<TempFile>(tiny_on_gpu().bytes());
    const OpenedModel model(file->path());
    auto again = open_cuda_device(options, model.file, model.network);
    REQUIRE_FALSE(again);
    REQUIRE_THAT(again.error().message, Catch::Contains("a restart of the process ends it"));
    engine.reset();  // waits for nothing
    REQUIRE(seconds_since(began) < 10);
    // As a gateway does that starts anew in its place. The exit status is the new program's.
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    WARN("failed, closed and starting anew after " << seconds_since(began) << " s");
    ::execl(self.c_str(), self.c_str(), "[norm]", nullptr);
    FAIL("could not start " << self);
}
