// The loop of the engine thread without the thread: a batch over the fake device, turn by turn.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/batch.h"
#include "tests/engine/fake_engine_parts.h"

namespace sluice {

inline std::vector<TokenId> prompt_of(int tokens, int first = 1) {
    std::vector<TokenId> out;
    for (int i = 0; i < tokens; ++i) out.push_back((first + i) % 250);
    return out;
}

// A batch, the fake device, and the loop of the engine thread without the thread.
struct Drive {
    explicit Drive(FakeDeviceOptions options_in, int output_reserve = 4, PageHash hash = hash_page,
                   bool batch_invariant = false)
        : options(std::move(options_in)),
          device(options),
          batch({.sequences_max = options.sequences_max,
                 .prefill_tokens_max = options.prefill_tokens_max,
                 .output_reserve = output_reserve,
                 .batch_invariant = batch_invariant,
                 .swap_pages = options.swap_pages},
                options.pages, options.page_tokens, hash) {}

    SequenceId add(int prompt_tokens, int generated_max, Sink sink = nullptr) {
        return add(prompt_of(prompt_tokens), generated_max, {}, std::move(sink));
    }
    SequenceId add(std::vector<TokenId> prompt, int generated_max, SubmitOptions submit,
                   Sink sink = nullptr) {
        if (!sink) sink = [](Piece&) { return true; };
        Sampling sampling;
        sampling.ignore_end = true;
        ++last_id;
        batch.add(std::make_unique<Sequence>(last_id, std::move(prompt), sampling, sink,
                                             generated_max, last_id, submit),
                  now);
        return last_id;
    }
    // One turn; the ids that were in the steps that it began.
    std::vector<SequenceId> turn() {
        now += std::chrono::milliseconds(10);
        batch.each([&](Sequence& sequence) {
            if (sequence.held()) sequence.deliver(now);
        });
        batch.admit(now);
        std::vector<SequenceId> ran;
        while (batch.begun() < options.steps_max && begin(ran)) continue;
        if (batch.begun() > 0) finish();
        return ran;
    }
    bool begin(std::vector<SequenceId>& ran) {
        const auto& step = batch.build_step();
        if (step.empty()) return false;
        std::map<int, SequenceId> by_slot;
        batch.each([&](Sequence& s) {
            if (s.slot >= 0) by_slot[s.slot] = s.id();
        });
        for (const StepSequence& part : step) ran.push_back(by_slot[part.slot]);
        const auto moves = batch.take_moves();
        if (!moves.empty()) REQUIRE(device.move_pages(moves));
        REQUIRE(device.begin(step));
        return true;
    }
    void finish() {
        auto sampled = device.finish();
        REQUIRE(sampled);
        const auto& chosen = batch.step_done();
        REQUIRE(chosen.size() == sampled->size());
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            if (chosen[i] == nullptr) continue;
            chosen[i]->take((*sampled)[i], tokenizer);
            chosen[i]->deliver(now);
        }
        for (auto& sequence : batch.remove_finished()) done.push_back(std::move(sequence));
    }
    Sequence* find(SequenceId id) {
        Sequence* out = nullptr;
        batch.each([&](Sequence& sequence) {
            if (sequence.id() == id) out = &sequence;
        });
        return out;
    }
    bool runs(SequenceId id) { return find(id) != nullptr && find(id)->slot >= 0; }

    FakeDeviceOptions options;
    FakeDevice device;
    FakeTokenizer tokenizer;
    Batch batch;
    SequenceId last_id = 0;
    Batch::Time now{};
    std::vector<std::unique_ptr<Sequence>> done;
};

inline Sink always_full() {
    return [](Piece&) { return false; };
}

}  // namespace sluice
