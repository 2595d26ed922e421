// Keys and values that lay in the host's memory for a while, and the steps that read them then.
#include <algorithm>

#include "engine/cuda/swap_room.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/walked_model.h"

using namespace sluice;

namespace {

EngineOptions options_of(const char* kv, std::int64_t swap_tokens) {
    EngineOptions options = walked_options(kv);
    options.kv_swap_tokens = swap_tokens;
    return options;
}

std::vector<PageMove> moves(const std::vector<std::int32_t>& pages,
                            const std::vector<std::int32_t>& places, PageMove::To to) {
    std::vector<PageMove> out;
    for (std::size_t i = 0; i < places.size(); ++i) out.push_back({pages[i], places[i], to});
    return out;
}

}  // namespace

TEST_CASE("keys and values that were swapped lead to the same bits from other pages",
          "[swap_room]") {
    const char* kv = GENERATE("bf16", "fp8");
    CAPTURE(kv);
    const TempFile bytes(walked_model(TensorType::q4_k).bytes());
    const OpenedModel model(bytes.path());
    // 1200 places are three blocks of pinned memory with bf16 keys, two with fp8 ones.
    const auto device = open_walked(options_of(kv, 1200 * 64), model);
    CHECK(device->info().swap_pages == 1200);
    Status calibrated = device->calibrate(walked_tokens(64, 9));
    REQUIRE(calibrated);
    Walk stays(*device, 0, walked_tokens(212, 1)), leaves(*device, 1, stays.tokens);
    stays.run(200);
    leaves.run(200);
    const std::vector<std::int32_t> places = {1199, 3, 512, 511};  // for 200 tokens
    REQUIRE(device->move_pages(moves(leaves.pages, places, PageMove::To::room)));
    Walk other(*device, 1, walked_tokens(400, 2));  // in the same pages
    other.run(400);
    Walk back(*device, 2, stays.tokens);
    back.computed = 200;
    REQUIRE(device->move_pages(moves(back.pages, places, PageMove::To::pool)));
    std::vector<float> first;
    for (int i = 0; i < 12; ++i) {
        const Sampled one = stays.run(1), same = back.run(1);
        CHECK(numbers_of(one) == numbers_of(same));
        if (i == 0) first = numbers_of(one);
    }
    // What lies there now is the other's.
    leaves.computed = 200;
    CHECK(numbers_of(leaves.run(1)) != first);
}

TEST_CASE("pages move in order with the steps that are under way", "[swap_room]") {
    const TempFile bytes(walked_model(TensorType::q4_k).bytes());
    const OpenedModel model(bytes.path());
    const auto device = open_walked(options_of("bf16", 640), model);
    Walk stays(*device, 0, walked_tokens(212, 1)), leaves(*device, 1, stays.tokens);
    stays.run(200);
    // Begun, not waited for: out behind the step that writes them, back before the one that reads.
    const StepSequence first[] = {leaves.next(200)};
    REQUIRE(device->begin(first));
    const std::vector<std::int32_t> places = {9, 0, 4, 2};
    REQUIRE(device->move_pages(moves(leaves.pages, places, PageMove::To::room)));
    Walk other(*device, 1, walked_tokens(300, 2));
    const StepSequence second[] = {other.next(300)};
    REQUIRE(device->begin(second));
    REQUIRE(device->finish());
    REQUIRE(device->move_pages(moves(leaves.pages, places, PageMove::To::pool)));
    const StepSequence third[] = {leaves.next(1)};
    REQUIRE(device->begin(third));
    REQUIRE(device->finish());
    auto last = device->finish();
    REQUIRE(last);
    const std::vector<float> after = numbers_of((*last)[0]);
    CHECK(after == numbers_of(stays.run(1)));
}

TEST_CASE("a page is copied the same in one go and layer by layer", "[swap_room]") {
    constexpr std::size_t piece = 4096, between = 5 * piece, layers = 3;
    std::vector<std::uint8_t> pool(layers * between);
    for (std::size_t i = 0; i < pool.size(); ++i) pool[i] = static_cast<std::uint8_t>(i * 7 / 3);
    const cuda::DeviceBuffer<std::uint8_t> device(pool);
    // So few bytes may still be on their way, and no stream but the first waits for them.
    cuda::check(cudaDeviceSynchronize());
    const cuda::Stream stream = cuda::make_stream();
    for (const std::size_t pitch_max : {between, between - 1}) {
        std::vector<std::uint8_t> room(layers * piece);
        cuda::PageCopy copy;
        copy.room = room.data();
        copy.pool = device.get() + 2 * piece;
        copy.piece = piece;
        copy.between = between;
        copy.layers = layers;
        cuda::copy_page(copy, pitch_max, stream.get());
        cuda::check(cudaStreamSynchronize(stream.get()));
        for (std::size_t layer = 0; layer < layers; ++layer)
            CHECK(std::equal(room.begin() + layer * piece, room.begin() + (layer + 1) * piece,
                             pool.begin() + layer * between + 2 * piece));
        copy.pool = device.get() + 4 * piece;
        copy.to = PageMove::To::pool;
        cuda::copy_page(copy, pitch_max, stream.get());
        std::vector<std::uint8_t> after(pool.size());
        cuda::check(cudaStreamSynchronize(stream.get()));
        cuda::check(cudaMemcpy(after.data(), device.get(), after.size(), cudaMemcpyDeviceToHost));
        for (std::size_t layer = 0; layer < layers; ++layer)
            CHECK(std::equal(room.begin() + layer * piece, room.begin() + (layer + 1) * piece,
                             after.begin() + layer * between + 4 * piece));
    }
}

TEST_CASE("a page that is not there is not moved, and more than the memory is refused",
          "[swap_room]") {
    const TempFile bytes(walked_model(TensorType::q4_k).bytes());
    const OpenedModel model(bytes.path());
    {
        auto device = open_cuda_device(options_of("bf16", 0), model.file, model.network);
        REQUIRE(device);
        CHECK((*device)->info().swap_pages == 0);
        const PageMove none[] = {{0, 0, PageMove::To::room}};
        CHECK_FALSE((*device)->move_pages(none));
    }
    auto device = open_cuda_device(options_of("bf16", -1), model.file, model.network);
    REQUIRE(device);
    CHECK((*device)->info().swap_pages == 8);  // of 32
    for (const PageMove wrong : {PageMove{32, 0}, PageMove{-1, 0}, PageMove{0, 8}, PageMove{0, -1}})
        CHECK_FALSE((*device)->move_pages({&wrong, 1}));
    auto refused =
        open_cuda_device(options_of("bf16", std::int64_t{1} << 31), model.file, model.network);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_config);
    CHECK_THAT(refused.error().message, Catch::Contains("kv_swap_tokens asks for 2147483648"));
}
