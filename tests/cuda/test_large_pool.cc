// Keys and values beyond the reach of 32 bits, in bytes and in numbers.
#include "tests/cuda/walked_model.h"
#include "tests/engine/source_tree.h"

using namespace sluice;

namespace {

constexpr std::int32_t pages = 150'000;  // of 64 KiB a layer in bf16, half as much in fp8

// A prompt in two pieces, the second over the first's keys, then decode.
std::vector<float> run(Walk& walk) {
    walk.computed = 0;
    walk.run(200);
    std::vector<float> out = numbers_of(walk.run(100));
    for (int i = 0; i < 4; ++i)
        for (float number : numbers_of(walk.run(1))) out.push_back(number);
    return out;
}

}  // namespace

TEST_CASE("the last pages of a pool of gigabytes are pages like the first",
          "[cuda_device][large]") {
    const TempFile bytes(walked_model(TensorType::q8_0).bytes());
    const OpenedModel model(bytes.path());
    EngineOptions options = walked_options(GENERATE("bf16", "fp8"));
    options.kv_tokens = std::int64_t{pages} * 64;
    options.kv_swap_tokens = 640;
    auto opened = open_cuda_device(options, model.file, model.network);
    if (!opened) {
        say_missing("not tried: " + opened.error().message);
        CHECK_THAT(opened.error().message, Catch::Contains("kv_tokens asks for"));
        return;
    }
    Device& device = **opened;
    REQUIRE(device.info().pages == pages);
    Status calibrated = device.calibrate(walked_tokens(64, 9));
    REQUIRE(calibrated);
    Walk low(device, 0, walked_tokens(310, 1)), high(device, 1, low.tokens);
    high.pages.clear();
    for (std::int32_t i = 0; i < 8; ++i) high.pages.push_back(pages - 1 - i);
    const std::vector<float> want = run(low);
    CHECK(run(high) == want);
    // Out, and other keys into every page that fewer bits would take for these.
    std::vector<PageMove> out, back;
    for (std::int32_t i = 0; i < 8; ++i) {
        out.push_back({high.pages[static_cast<std::size_t>(i)], i, PageMove::To::room});
        back.push_back({high.pages[static_cast<std::size_t>(i)], i, PageMove::To::pool});
    }
    REQUIRE(device.move_pages(out));
    for (const std::int32_t apart : {0, 1 << 15, 1 << 16, 1 << 17}) {
        Walk other(device, 2, walked_tokens(310, 2));
        for (std::size_t i = 0; i < 8; ++i) other.pages[i] = high.pages[i] - apart;
        run(other);
        if (apart == 0) REQUIRE(device.move_pages(back));
    }
    high.computed = 300;
    std::vector<float> after;
    for (int i = 0; i < 4; ++i)
        for (float number : numbers_of(high.run(1))) after.push_back(number);
    CHECK(after ==
          std::vector<float>(want.end() - static_cast<std::ptrdiff_t>(after.size()), want.end()));
}
