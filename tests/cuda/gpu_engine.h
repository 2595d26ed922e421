// A whole engine, on the GPU unless the options say otherwise, over a small random network, and
// what its sequences were told.
#pragma once

#include <catch2/catch.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/cpu/cpu_device.h"
#include "engine/cuda/cuda_device.h"
#include "engine/scheduler.h"
#include "tests/cuda/device_walk.h"
#include "tests/cuda/measured.h"
#include "tests/engine/fake_engine_parts.h"
#include "tests/engine/fp8_folder.h"
#include "tests/engine/tiny_model.h"

namespace sluice {

struct Told {
    std::vector<TokenId> tokens;
    std::vector<float> logprobs, margins;
    std::vector<TokenSignals> signals;
    Piece last;
    float probe = 0.0F;
    std::vector<float> hidden_state;
    SequenceId id = 0;
};

// What is asked of a sequence: greedy unless said otherwise, and on past end tokens.
struct Ask {
    std::vector<TokenId> prompt;
    int tokens_max = 40;
    Sampling sampling;
    SubmitOptions options;

    explicit Ask(std::vector<TokenId> tokens, int most = 40)
        : prompt(std::move(tokens)), tokens_max(most) {
        sampling.temperature = 0.0F;
        sampling.seed = 1;
        sampling.ignore_end = true;
        sampling.top_logprobs = 0;
    }
};

// A network with the fake tokenizer's vocabulary.
inline TinyModel tiny_on_gpu(TensorType type = TensorType::q4_k) {
    TinyModel model;
    model.architecture = "qwen2";
    model.bias = true;
    model.type = type;
    model.head_dim = model.rope_dims = 128;
    model.kv_heads = 2;
    model.query_heads = 10;
    model.hidden = 256;
    model.ffn = 512;
    model.vocab = FakeTokenizer().vocab_size();
    model.context = 4096;
    return model;
}

// The same in fp8 weights with a scale a row.
inline Fp8Model tiny_fp8_on_gpu() {
    return {{"fp8_served", "qwen2", 2, 512, 10, 2, 128, 1024, false, false,
             FakeTokenizer().vocab_size()},
            true,
            "proj"};
}

inline EngineOptions options_on_gpu() {
    EngineOptions options;
    options.device = "cuda";
    options.sequences_max = 16;
    options.waiting_max = 4096;
    options.prefill_tokens_max = 256;
    options.context_tokens_max = 1024;
    options.kv_tokens = 16 * 1024;
    return options;
}

class GpuEngine {
public:
    // What stands between the engine and each device that is opened for it.
    using Between = std::function<std::unique_ptr<Device>(std::unique_ptr<Device>)>;

    explicit GpuEngine(const EngineOptions& options = options_on_gpu(),
                       const TinyModel& shape = tiny_on_gpu(), Between between = {})
        : GpuEngine(options, std::make_shared<TempFile>(shape.bytes()), std::move(between)) {}
    GpuEngine(const EngineOptions& options, const Fp8Model& shape)
        : GpuEngine(options, folder_of(shape), {}) {}

    // Submits it; `told` lives until its sequence has ended.
    void ask(const Ask& ask, Told& told) {
        Sampling sampling = ask.sampling;
        sampling.tokens_max = ask.tokens_max;
        auto sink = [this, &told](Piece& piece) {
            std::lock_guard lock(mutex_);
            told.tokens.insert(told.tokens.end(), piece.tokens.begin(), piece.tokens.end());
            for (const ChosenLogprob& one : piece.logprobs)
                told.logprobs.push_back(one.chosen.logprob);
            for (std::size_t i = 0; i < piece.tokens.size(); ++i)
                told.margins.push_back(piece.signals[i].margin);
            told.signals.insert(
                told.signals.end(), piece.signals.begin(),
                piece.signals.begin() + static_cast<std::ptrdiff_t>(piece.tokens.size()));
            if (!std::isnan(piece.probe)) told.probe = piece.probe;
            if (!piece.hidden_state.empty()) told.hidden_state = piece.hidden_state;
            if (piece.last) told.last = piece;
            changed_.notify_all();
            return true;
        };
        auto id = engine_->submit(ask.prompt, std::move(sampling), sink, ask.options);
        if (!id) FAIL(id.error().message);
        told.id = *id;
    }
    void wait_tokens(const Told& told, std::size_t count) {
        wait([&] { return told.tokens.size() >= count || told.last.last; });
    }
    void wait_last(const Told& told) {
        wait([&] { return told.last.last; });
    }
    std::vector<Told> run(const std::vector<Ask>& asks) {
        std::vector<Told> out(asks.size());
        for (std::size_t i = 0; i < asks.size(); ++i) ask(asks[i], out[i]);
        for (const Told& told : out) wait_last(told);
        return out;
    }
    Told run(const Ask& ask) { return run(std::vector{ask}).front(); }

    std::size_t tokens_so_far(const Told& told) {
        std::lock_guard lock(mutex_);
        return told.tokens.size();
    }

    Engine& engine() { return *engine_; }
    bool pages_come_back() {
        for (int i = 0; i < 2'000'000; ++i) {
            const Occupancy now = engine_->occupancy();
            if (now.running + now.waiting == 0 && now.kv_pages_used == 0)
                return now.kv_pages_swapped == 0;
            std::this_thread::yield();
        }
        return false;
    }

private:
    template <class Files>
    GpuEngine(const EngineOptions& options, std::shared_ptr<Files> files, Between between)
        : files_(files), model_(files->path()), between_(std::move(between)) {
        Reopening reopening;
        reopening.first_wait = std::chrono::milliseconds(1);
        reopening.open = [this, options] { return open_ready(options); };
        auto device = reopening.open();
        if (!device) FAIL(device.error().message);
        ModelInfo info;
        info.context_tokens = model_.network.context_tokens;
        auto made =
            make_engine(options, *std::move(device), tokenizer_, info, std::move(reopening));
        if (!made) FAIL(made.error().message);
        engine_ = *std::move(made);
    }
    static std::shared_ptr<HfFolder> folder_of(const Fp8Model& shape) {
        auto folder = std::make_shared<HfFolder>();
        shape.write_to(*folder);
        return folder;
    }
    // As Engine::open does.
    Result<std::unique_ptr<Device>> open_ready(const EngineOptions& options) const {
        auto device = options.device == "cuda"
                          ? open_cuda_device(options, model_.file, model_.network)
                          : open_cpu_device(options, model_.file, model_.network);
        if (!device) return device;
        Status calibrated = (*device)->calibrate(tokenizer_->encode(
            "Some text whose keys and values are of the usual size.", false, false));
        if (!calibrated) return calibrated.error();
        if (between_) return between_(*std::move(device));
        return device;
    }
    template <class Ready>
    void wait(Ready ready) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::seconds(60), ready)) FAIL("no answer in 60 s");
    }
    std::shared_ptr<const void> files_;
    OpenedModel model_;
    Between between_;
    std::shared_ptr<const FakeTokenizer> tokenizer_ = std::make_shared<FakeTokenizer>();
    std::mutex mutex_;
    std::condition_variable changed_;
    std::unique_ptr<Engine> engine_;  // last: its thread calls sinks that use the others
};

// Tokens as bytes, nothing like another seed's.
inline std::vector<TokenId> tokens_of(int count, int seed) {
    std::vector<TokenId> out;
    for (int i = 0; i < count; ++i)
        out.push_back((i * 37 + i * i * 3 + seed * 101 + seed * i * 7) % 256);
    return out;
}

// Of greedy choices: the same tokens and logprobs within `tolerance`, as far as a choice is clearer
// than that; from the first that is not on they may part ways. Keeps the widest as measured.
inline void check_agree(const Told& one, const Told& other, double tolerance,
                        const std::string& what) {
    REQUIRE(one.tokens.size() == other.tokens.size());
    REQUIRE_FALSE(one.tokens.empty());
    std::size_t same = 0;
    double widest = 0;
    for (; same < one.tokens.size() && one.tokens[same] == other.tokens[same]; ++same) {
        const double difference =
            std::abs(double{one.logprobs[same]} - double{other.logprobs[same]});
        if (!(difference <= tolerance)) {
            CAPTURE(same, one.tokens[same]);
            CHECK(difference <= tolerance);
        }
        widest = std::max(widest, difference);
    }
    if (same < one.tokens.size()) CHECK(double{one.margins[same]} <= 2 * tolerance);
    CHECK(same >= 1);
    keep_measured(what + ", widest logprob", widest, tolerance);
}

inline void check_same_bits(const Told& one, const Told& other) {
    CHECK(one.tokens == other.tokens);
    CHECK(one.logprobs == other.logprobs);
}

}  // namespace sluice
