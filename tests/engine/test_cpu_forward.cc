#include <catch2/catch.hpp>

#include "engine/cpu/cpu_device.h"
#include "engine/cpu/forward.h"
#include "tests/engine/float_keys.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

namespace {

std::vector<const char*> kernel_names() {
    std::vector<const char*> out;
    for (const char* name : {"portable", "avx2", "avx512"})
        if (choose_kernels(name)) out.push_back(name);
    return out;
}

const Kernels& named(const char* name) {
    auto kernels = choose_kernels(name);
    REQUIRE(kernels);
    return **kernels;
}

// A tiny model, opened down to Forward, with a pool of pages handed out in a scattered order.
struct Opened {
    TinyModel model;
    TempFile path;
    std::shared_ptr<const ModelFile> file;
    NetworkDescription network;
    ComputeThreads threads;
    std::unique_ptr<Forward> forward;
    static constexpr int pages = 40;

    Opened(const TinyModel& tiny, const char* kernels, int thread_count = 2,
           ForwardLimits limits = {200, 8, pages})
        : Opened(tiny, named(kernels), thread_count, limits) {}
    // `kernels` must outlive it.
    Opened(const TinyModel& tiny, const Kernels& kernels, int thread_count = 2,
           ForwardLimits limits = {200, 8, pages})
        : model(tiny), path(model.bytes()), threads(thread_count) {
        auto opened = GgufFile::open(path.path());
        REQUIRE(opened);
        file = *opened;
        auto described = describe_network(*file);
        INFO((described ? "" : described.error().message));
        REQUIRE(described);
        network = *described;
        auto weights = pack_weights(*file, network, threads);
        REQUIRE(weights);
        auto made = Forward::open(network, *std::move(weights), kernels, limits, threads);
        REQUIRE(made);
        forward = *std::move(made);
    }
};

struct Chat {
    std::vector<TokenId> tokens;
    std::vector<std::int32_t> pages;
    int done = 0;

    Chat(int count, int vocab, std::uint32_t seed, std::vector<std::int32_t> page_ids)
        : pages(std::move(page_ids)) {
        std::mt19937 random(seed);
        for (int i = 0; i < count; ++i)
            tokens.push_back(static_cast<TokenId>(random() % static_cast<std::uint32_t>(vocab)));
    }
    StepSequence next(int count) {
        StepSequence s;
        s.tokens = std::span<const TokenId>(tokens).subspan(static_cast<std::size_t>(done),
                                                            static_cast<std::size_t>(count));
        s.position = done;
        s.pages = pages;
        s.sample = true;
        done += count;
        return s;
    }
};

std::vector<float> copy(std::span<float> logits) { return {logits.begin(), logits.end()}; }

// Logits of the whole prompt at once.
std::vector<float> whole(Opened& opened, Chat chat) {
    StepSequence step = chat.next(static_cast<int>(chat.tokens.size()));
    opened.forward->run({&step, 1});
    return copy(opened.forward->logits(0));
}

double relative_error(const std::vector<float>& found, const std::vector<double>& expected) {
    double off = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        off += std::pow(static_cast<double>(found[i]) - expected[i], 2);
        size += expected[i] * expected[i];
    }
    return std::sqrt(off / size);
}

// Once as one prompt, once token by token: all positions are compared.
double worst_error(Opened opened, Chat chat, const std::vector<std::vector<double>>& expected) {
    double worst = relative_error(whole(opened, chat), expected.back());
    for (const auto& row : expected) {
        StepSequence step = chat.next(1);
        opened.forward->run({&step, 1});
        const double off = relative_error(copy(opened.forward->logits(0)), row);
        if (off > worst || std::isnan(off)) worst = off;  // which stays
    }
    return worst;
}

std::vector<TinyModel> models() {
    TinyModel llama;
    TinyModel partial = llama;  // part of each head rotates, by factors; tied, one kv head
    partial.rope_dims = 8;
    partial.rope_freqs = true;
    partial.tied = true;
    partial.kv_heads = 1;
    TinyModel qwen;
    qwen.architecture = "qwen2";
    qwen.bias = true;
    qwen.query_heads = 10;
    qwen.kv_heads = 2;  // groups of 5, as in the 32B
    qwen.head_dim = 16;
    qwen.rope_dims = 16;
    TinyModel llama_bias = llama;
    llama_bias.bias = true;
    return {llama, partial, qwen, llama_bias};
}

}  // namespace

TEST_CASE("the network computes what its definition says, on every path", "[forward]") {
    for (const TinyModel& model : models()) {
        Opened first(model, "portable");
        Chat chat(75, model.vocab, 5, {31, 7, 22});
        std::vector<int> ids(chat.tokens.begin(), chat.tokens.end());
        auto expected = PlainNetwork(*first.file, model, false).logits(ids);
        auto halved = PlainNetwork(*first.file, model).logits(ids);
        for (const char* kernels : kernel_names()) {
            INFO(model.architecture << " " << model.rope_dims << " " << kernels);
            // All in floats: 1.2e-6 at most.
            const Kernels in_floats = FloatKeys::kernels(named(kernels));
            CHECK(worst_error(Opened(model, in_floats), chat, expected) <= 1e-5);
            // Keys and values on the edge between two halves may fall to either side: 1.3e-4.
            CHECK(worst_error(Opened(model, kernels), chat, halved) <= 2e-4);
        }
    }
}

TEST_CASE("quantised weights give what their dequantised values give", "[forward]") {
    for (TensorType type : all_tensor_types()) {
        TinyModel model;
        model.type = type;
        model.hidden = model.ffn = 256;
        model.query_heads = 8;
        model.head_dim = 32;
        model.rope_dims = 32;
        model.layers = 1;
        for (const char* kernels : kernel_names()) {
            INFO(type_name(type) << " " << kernels);
            const Kernels in_floats = FloatKeys::kernels(named(kernels));
            Opened opened(model, in_floats);
            Chat chat(6, model.vocab, 5, {3});
            std::vector<int> ids(chat.tokens.begin(), chat.tokens.end());
            auto expected = PlainNetwork(*opened.file, model, false).logits(ids);
            // Activations that meet quantised weights are 16 bits a block: 5.9e-5 at most (q5_k).
            const bool floats = block_weights(type) == 1;
            CHECK(worst_error(Opened(model, in_floats), chat, expected) <=
                  (floats ? 1e-5 : 1.2e-4));
            // That tips keys and values from one half to the next: 1.5e-4 at most (q6_k).
            auto halved = PlainNetwork(*opened.file, model).logits(ids);
            CHECK(worst_error(Opened(model, kernels), chat, halved) <= (floats ? 2e-5 : 3e-4));
        }
    }
}

TEST_CASE("a prompt in chunks gives the bits of the prompt at once", "[forward]") {
    for (const TinyModel& model : models()) {
        for (const char* kernels : kernel_names()) {
            Opened opened(model, kernels);
            Chat chat(131, model.vocab, 9, {4, 9, 0, 33, 12});
            std::vector<float> expected = whole(opened, chat);
            for (int chunk : {1, 7, 32, 100}) {
                INFO(kernels << " chunk " << chunk);
                Chat again = chat;
                again.pages = {8, 30, 5, 2, 21};
                std::vector<float> found;
                while (again.done < 131) {
                    StepSequence step = again.next(std::min(chunk, 131 - again.done));
                    opened.forward->run({&step, 1});
                    found = copy(opened.forward->logits(0));
                }
                CHECK(found == expected);
            }
        }
    }
}

TEST_CASE("after a rest a prompt gives the bits it gave before", "[forward]") {
    Opened opened(models().front(), "");
    Chat chat(131, opened.model.vocab, 9, {4, 9, 0, 33, 12});
    std::vector<float> expected = whole(opened, chat);
    opened.forward->rest();
    CHECK(whole(opened, chat) == expected);
}

TEST_CASE("more sequences sample than a tile has tokens", "[forward]") {
    Opened alone(models().front(), "");
    const int count = 150;
    Opened together(models().front(), "", 2, {200, count, count});
    std::vector<Chat> chats;
    for (int i = 0; i < count; ++i)
        chats.emplace_back(1, alone.model.vocab, static_cast<std::uint32_t>(i),
                           std::vector<std::int32_t>{i});
    std::vector<StepSequence> step;
    for (Chat& chat : chats) step.push_back(chat.next(1));
    for (StepSequence& part : step) part.sample = &part != &step[3];
    together.forward->run(step);
    for (int i : {0, 2, 4, 127, 128, 129, 149}) {
        Chat one = chats[static_cast<std::size_t>(i)];
        one.done = 0;
        one.pages = {7};
        CHECK(copy(together.forward->logits(i > 3 ? i - 1 : i)) == whole(alone, one));
    }
}

TEST_CASE("sequences side by side get the bits they get alone, on any threads", "[forward]") {
    for (const TinyModel& model : models()) {
        Opened alone(model, "", 1);
        Opened together(model, "", 3);
        std::vector<Chat> chats;
        for (std::uint32_t i = 0; i < 5; ++i) {
            auto page = static_cast<std::int32_t>(i * 3);
            chats.emplace_back(static_cast<int>(20 + 9 * i), model.vocab, i,
                               std::vector<std::int32_t>{page + 1, page, page + 2});
        }
        std::vector<std::vector<float>> expected;
        for (const Chat& chat : chats) {
            Chat one = chat;
            one.tokens.resize(one.tokens.size() - 3);
            expected.push_back(whole(alone, one));
        }
        // Chats 0, 2, 4 prefill while 1 and 3 decode; two do not ask for logits.
        std::vector<StepSequence> step;
        for (std::size_t i : {1, 3}) {
            step = {chats[i].next(static_cast<int>(chats[i].tokens.size()) - 4)};
            together.forward->run(step);
        }
        step.clear();
        for (std::size_t i = 0; i < chats.size(); ++i) {
            int left = static_cast<int>(chats[i].tokens.size()) - 3 - chats[i].done;
            step.push_back(chats[i].next(left));
            step.back().sample = i != 0 && i != 3;
        }
        together.forward->run(step);
        CHECK(copy(together.forward->logits(0)) == expected[1]);
        CHECK(copy(together.forward->logits(1)) == expected[2]);
        CHECK(copy(together.forward->logits(2)) == expected[4]);
    }
}

TEST_CASE("pages may be left by one sequence and taken by another", "[forward]") {
    TinyModel model;
    Opened opened(model, "");
    Chat first(90, model.vocab, 1, {1, 2, 3});
    Chat second(40, model.vocab, 2, {3, 1});
    std::vector<float> fresh = whole(opened, second);
    (void)whole(opened, first);
    CHECK(whole(opened, second) == fresh);
}
