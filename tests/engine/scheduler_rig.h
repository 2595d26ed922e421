// What scheduler tests share: a client at the far end of a sequence, and an engine over the fake
// device.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/scheduler.h"
#include "tests/engine/fake_engine_parts.h"

namespace sluice {

using namespace std::chrono_literals;

// The far end of a sequence: gathers pieces on the engine thread, waits for them on the test's.
class Client {
public:
    Sink sink() {
        return [this](Piece& piece) {
            std::lock_guard lock(mutex_);
            if (++offers_ == awaited_) changed_.notify_all();
            if (full_ || (refuse_every_ > 0 && offers_ % refuse_every_ == 0)) return false;
            after_last_ += lasts_;
            text_ += piece.text;
            tokens_.insert(tokens_.end(), piece.tokens.begin(), piece.tokens.end());
            if (piece.last) last_ = piece;
            lasts_ += piece.last;
            ++pieces_;
            changed_.notify_all();
            return true;
        };
    }
    void fill(bool full) {
        std::lock_guard lock(mutex_);
        full_ = full;
    }
    void refuse_every(int offers) { refuse_every_ = offers; }
    bool wait_last() {
        return wait([&] { return lasts_ > 0; });
    }
    bool wait_pieces(int count) {
        return wait([&] { return pieces_ >= count; });
    }
    bool wait_offers(int count) {
        // Refused offers wake nobody but the one that waits for just so many.
        std::unique_lock lock(mutex_);
        awaited_ = count;
        return changed_.wait_for(lock, 60s, [&] { return offers_ >= count; });
    }
    template <class T>
    T get(T Client::*field) {
        std::lock_guard lock(mutex_);
        return this->*field;
    }

    std::string text_;
    std::vector<TokenId> tokens_;
    Piece last_;
    int lasts_ = 0;
    int after_last_ = 0;
    int pieces_ = 0;
    int offers_ = 0;
    int awaited_ = 0;

private:
    template <class Ready>
    bool wait(Ready ready) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 60s, ready);
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    bool full_ = false;
    int refuse_every_ = 0;
};

struct Rig {
    explicit Rig(FakeDeviceOptions options_in = {}, EngineOptions engine_options = {},
                 int context_tokens = 100, Reopening reopening = {})
        : options(std::move(options_in)) {
        engine_options.sequences_max = options.sequences_max;
        engine_options.prefill_tokens_max = options.prefill_tokens_max;
        auto made = std::make_unique<FakeDevice>(options);
        device = made.get();
        ModelInfo model;
        model.context_tokens = context_tokens;
        auto result =
            make_engine(engine_options, std::move(made), tokenizer, model, std::move(reopening));
        REQUIRE(result);
        engine = std::move(*result);
    }
    Result<SequenceId> submit(Client& client, int tokens_max = 10, int prompt_tokens = 3) {
        Sampling sampling;
        sampling.ignore_end = true;
        sampling.seed = 1;
        sampling.tokens_max = tokens_max;
        return engine->submit(prompt(prompt_tokens), sampling, client.sink());
    }
    static std::vector<TokenId> prompt(int tokens) {
        std::vector<TokenId> out;
        for (int i = 0; i < tokens; ++i) out.push_back(i % 200);
        return out;
    }
    // Holds once the engine thread has come around; counters change just before it sleeps.
    template <class Ready>
    bool soon(Ready ready) {
        for (int i = 0; i < 20000 && !ready(); ++i) std::this_thread::yield();
        auto until = std::chrono::steady_clock::now() + 60s;
        while (!ready() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
        return ready();
    }
    bool idle() {
        return soon([&] {
            Occupancy now = engine->occupancy();
            return now.running == 0 && now.waiting == 0 && now.kv_pages_used == 0;
        });
    }

    FakeDeviceOptions options;
    std::shared_ptr<const FakeTokenizer> tokenizer = std::make_shared<FakeTokenizer>();
    FakeDevice* device = nullptr;
    std::unique_ptr<Engine> engine;
};

inline Sampling limited(int tokens_max, std::optional<std::uint64_t> seed = {}) {
    Sampling sampling;
    sampling.tokens_max = tokens_max;
    sampling.ignore_end = true;
    sampling.seed = seed;
    return sampling;
}

inline FakeDeviceOptions gated(int sequences_max = 8) {
    FakeDeviceOptions options;
    options.gate = std::make_shared<std::counting_semaphore<>>(0);
    options.sequences_max = sequences_max;
    return options;
}

}  // namespace sluice
