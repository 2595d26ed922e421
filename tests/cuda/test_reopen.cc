// A device that is given back and opened again in the same process, and the memory that it says it
// takes.
#include <sys/mman.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>

#include "engine/log.h"
#include "tests/cuda/gpu_engine.h"

using namespace sluice;

namespace {

// Fails one step when it is told to, and is the device itself otherwise. A failure that leaves the
// context whole: one that does not takes the GPU from the process (test_lost_gpu.cc).
class FailsWhenTold final : public Device {
public:
    FailsWhenTold(std::unique_ptr<Device> device, std::atomic<bool>& fail)
        : device_(std::move(device)), fail_(fail) {}
    const DeviceInfo& info() const override { return device_->info(); }
    Status begin(std::span<const StepSequence> step) override { return device_->begin(step); }
    Status move_pages(std::span<const PageMove> moves) override {
        return device_->move_pages(moves);
    }
    Result<std::span<const Sampled>> finish() override {
        if (fail_.exchange(false)) return Error(Errc::device_failed, "told to fail");
        return device_->finish();
    }
    StepTime step_time() const override { return device_->step_time(); }

private:
    std::unique_ptr<Device> device_;
    std::atomic<bool>& fail_;
};

std::int64_t free_bytes() {
    std::size_t free = 0, card = 0;
    REQUIRE(cudaMemGetInfo(&free, &card) == cudaSuccess);
    return static_cast<std::int64_t>(free);
}

// What is logged meanwhile.
template <class Do>
std::string logged_by(Do act) {
    const int file = ::memfd_create("log", 0);
    REQUIRE(file >= 0);
    log_to(file);
    act();
    log_to(STDOUT_FILENO);
    std::string text(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), '\0');
    REQUIRE(::pread(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    ::close(file);
    return text;
}

std::int64_t number_in(const std::string& text, const std::string& key) {
    const std::size_t at = text.find("\"" + key + "\":");
    REQUIRE(at != std::string::npos);
    return std::atoll(text.c_str() + at + key.size() + 3);
}

}  // namespace

TEST_CASE("an engine opens its GPU again after a failed step and answers the same",
          "[gpu_engine]") {
    std::atomic<bool> fail = false;
    EngineOptions options = options_on_gpu();
    options.kv_format = GENERATE("bf16", "fp8");
    GpuEngine engine(options, tiny_on_gpu(), [&](std::unique_ptr<Device> device) {
        return std::make_unique<FailsWhenTold>(std::move(device), fail);
    });
    Ask ask(tokens_of(300, 9));
    ask.options.cache_tenant = "acme";
    const Told before = engine.run(ask);
    for (int time = 0; time < 4; ++time) {
        fail = true;
        const auto lost = engine.run({ask, Ask(tokens_of(90, 2), 100), ask});
        for (const Told& one : lost) {
            CHECK(one.last.finish == FinishReason::failed);
            CHECK_THAT(one.last.error, Catch::Contains("told to fail"));
        }
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!engine.engine().occupancy().up && std::chrono::steady_clock::now() < until)
            std::this_thread::yield();
        const Told after = engine.run(ask);
        CHECK(after.last.cached_prompt_tokens == 0);  // kept keys went with the device
        check_same_bits(before, after);
        CHECK(engine.pages_come_back());
    }
}

// Hidden: it must have the GPU to itself.
TEST_CASE("the plan of memory is the memory that is taken", "[.][memory_plan]") {
    const TempFile bytes(tiny_on_gpu().bytes());
    const OpenedModel model(bytes.path());
    EngineOptions options = options_on_gpu();
    options.prefill_tokens_max = 2048;
    options.kv_tokens = 2'000'000;
    options.kv_format = GENERATE("bf16", "fp8");
    options.kv_swap_tokens = 0;
    REQUIRE(open_cuda_device(options, model.file, model.network));  // kernels are loaded now
    const std::int64_t before = free_bytes();
    std::unique_ptr<Device> device;
    const std::string said = logged_by([&] {
        auto opened = open_cuda_device(options, model.file, model.network);
        if (!opened) FAIL(opened.error().message);
        device = *std::move(opened);
    });
    const std::int64_t taken_mib = (before - free_bytes()) >> 20;
    std::int64_t planned_mib = 0;
    for (const char* share :
         {"weights_mib", "activations_mib", "products_mib", "steps_mib", "kv_mib"})
        planned_mib += number_in(said, share);
    CAPTURE(said, taken_mib, planned_mib);
    CHECK(number_in(said, "kv_mib") == device->info().kv_bytes >> 20);
    CHECK(number_in(said, "kv_tokens") == device->info().pages * device->info().page_tokens);
    CHECK(number_in(said, "kv_tokens") >= 2'000'000);
    CHECK(number_in(said, "free_mib") == Approx(static_cast<double>(free_bytes() >> 20)).margin(8));
    // Each of its pieces is rounded up to what the driver gives out, of 2 MiB.
    CHECK(taken_mib >= planned_mib - 5);
    CHECK(taken_mib <= planned_mib + 64);
    device.reset();
    CHECK(std::abs(free_bytes() - before) <= 8 << 20);
}
