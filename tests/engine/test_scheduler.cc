#include <ctime>

#include "tests/engine/scheduler_rig.h"

using namespace sluice;

TEST_CASE("a sequence gives its text in order and one last piece", "[scheduler]") {
    Rig rig;
    Client client;
    REQUIRE(rig.submit(client, 12));
    REQUIRE(client.wait_last());
    CHECK(client.last_.finish == FinishReason::length);
    CHECK(client.last_.prompt_tokens == 3);
    CHECK(client.last_.generated_tokens == 12);
    CHECK(client.tokens_.size() == 12);
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = 1;
    CHECK(client.text_ ==
          run_alone(Rig::prompt(3), sampling, 12, *rig.tokenizer, rig.options).text);
    CHECK(rig.idle());
    Occupancy now = rig.engine->occupancy();
    CHECK(now.generated_tokens_total == 12);
    CHECK(now.prompt_tokens_total == 3);
    CHECK(now.tokens_per_second > 0);
    CHECK(now.step_seconds > 0);
    CHECK(now.kv_pages_total == 64);
    CHECK(now.page_tokens == 4);
}

TEST_CASE("what cannot be run is refused with what would be right", "[scheduler]") {
    Rig rig;
    auto refused = [&](std::vector<TokenId> prompt, Sampling sampling) {
        auto result = rig.engine->submit(std::move(prompt), sampling, [](Piece&) { return true; });
        REQUIRE_FALSE(result);
        return result.error();
    };
    CHECK(refused({}, {}).code == Errc::invalid_request);
    CHECK(refused({-1}, {}).message == "the prompt has token id -1, this model's ids are 0 to 261");
    CHECK(refused({262}, {}).code == Errc::invalid_request);
    Sampling hot;
    hot.temperature = -1;
    CHECK(refused({1}, hot).param == "temperature");
    Error too_long = refused(Rig::prompt(100), {});
    CHECK(too_long.code == Errc::context_length_exceeded);
    CHECK(too_long.message ==
          "the prompt has 100 tokens; at most 99 fit this model's context of 100 tokens with room "
          "for an answer");
}

TEST_CASE("an answer is cut to the room that the prompt leaves", "[scheduler]") {
    Rig rig;
    Client client;
    REQUIRE(rig.submit(client, 1000, 97));
    REQUIRE(client.wait_last());
    CHECK(client.last_.generated_tokens == 3);
    CHECK(client.last_.finish == FinishReason::length);
}

TEST_CASE("the device rests once, when nothing has run for a while", "[scheduler]") {
    Rig rig;
    Client client;
    REQUIRE(rig.submit(client, 3));
    REQUIRE(client.wait_last());
    const int before = rig.device->rests;
    REQUIRE(rig.soon([&] { return rig.device->rests > before; }));
    CHECK(rig.device->rests == before + 1);
    Client again;
    REQUIRE(rig.submit(again, 3));
    REQUIRE(again.wait_last());
    CHECK(again.text_ == client.text_);
}

TEST_CASE("the context is no larger than the KV pool or the option", "[scheduler]") {
    auto context = [](std::int64_t pages, int option) {
        FakeDeviceOptions options;
        options.pages = pages;
        EngineOptions engine_options;
        engine_options.context_tokens_max = option;
        return Rig(options, engine_options).engine->model().context_tokens;
    };
    CHECK(context(64, 0) == 100);
    CHECK(context(10, 0) == 40);
    CHECK(context(10, 30) == 30);
}

TEST_CASE("options out of range are refused by name", "[scheduler]") {
    EngineOptions options;
    options.prefill_tokens_max = 0;
    ModelInfo model;
    model.context_tokens = 100;
    auto engine = make_engine(options, std::make_unique<FakeDevice>(FakeDeviceOptions{}),
                              std::make_shared<FakeTokenizer>(), model);
    REQUIRE_FALSE(engine);
    CHECK(engine.error().code == Errc::bad_config);
    CHECK(engine.error().message == "engine option prefill_tokens_max must be at least 1, got 0");
}

TEST_CASE("more sequences than may run or wait are refused as overload", "[scheduler]") {
    FakeDeviceOptions options = gated(2);
    EngineOptions engine_options;
    engine_options.waiting_max = 1;
    Rig rig(options, engine_options);
    Client clients[4];
    CHECK(rig.submit(clients[0], 2));
    CHECK(rig.submit(clients[1], 2));
    CHECK(rig.submit(clients[2], 2));
    auto refused = rig.submit(clients[3], 2);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::overloaded);
    CHECK(refused.error().message ==
          "the engine has 3 sequences running or waiting, 3 are allowed; try again later");
    options.gate->release(100);
    for (int i = 0; i < 3; ++i) CHECK(clients[i].wait_last());
    CHECK(rig.submit(clients[3], 2));
    CHECK(clients[3].wait_last());
}

TEST_CASE("whoever gets a last piece may submit the next sequence at once", "[scheduler]") {
    FakeDeviceOptions options;
    options.sequences_max = 1;
    EngineOptions engine_options;
    engine_options.waiting_max = 0;
    Rig rig(options, engine_options);
    Client client;
    std::atomic<bool> accepted{false};
    auto again = [&](Piece& piece) {
        if (piece.last) accepted = rig.submit(client, 2).has_value();
        return true;
    };
    REQUIRE(rig.engine->submit({1}, limited(2), again));
    CHECK(client.wait_last());
    CHECK(accepted);
}

TEST_CASE("a cancelled sequence takes no further step and leaves no pages", "[scheduler]") {
    FakeDeviceOptions options = gated();
    options.steps_max = GENERATE(1, 2);
    Rig rig(options);
    Client client;
    auto id = rig.submit(client, 90);
    REQUIRE(id);
    options.gate->release(3);
    REQUIRE(client.wait_pieces(1));
    rig.engine->cancel(*id);
    options.gate->release(1);  // for the step that may be under way
    CHECK(rig.idle());
    int pieces = client.get(&Client::pieces_);
    CHECK(pieces <= 4);
    CHECK(client.get(&Client::lasts_) == 0);
    options.gate->release(20);
    Client next;
    REQUIRE(rig.submit(next, 5));
    REQUIRE(next.wait_last());
    CHECK(client.get(&Client::pieces_) == pieces);
    rig.engine->cancel(*id);  // again, and one that never was
    rig.engine->cancel(12345);
}

TEST_CASE("cancelling before the first step works and frees the place in the queue",
          "[scheduler]") {
    FakeDeviceOptions options = gated(1);
    EngineOptions engine_options;
    engine_options.waiting_max = 1;
    Rig rig(options, engine_options);
    Client running;
    Client waiting;
    Client late;
    REQUIRE(rig.submit(running, 3));
    REQUIRE(rig.soon([&] { return rig.engine->occupancy().running == 1; }));
    auto id = rig.submit(waiting, 3);
    REQUIRE(id);
    CHECK_FALSE(rig.submit(late, 3));
    rig.engine->cancel(*id);
    options.gate->release(100);
    REQUIRE(running.wait_last());
    REQUIRE(rig.submit(late, 3));
    REQUIRE(late.wait_last());
    CHECK(waiting.get(&Client::offers_) == 0);
}

TEST_CASE("a held sequence waits for its sink without holding up others", "[scheduler]") {
    FakeDeviceOptions options;
    options.steps_max = GENERATE(1, 2);
    Rig rig(options);
    Client slow;
    Client quick;
    slow.fill(true);
    REQUIRE(rig.submit(slow, 10));
    REQUIRE(slow.wait_offers(2));
    REQUIRE(rig.submit(quick, 10));
    REQUIRE(quick.wait_last());
    CHECK(slow.get(&Client::pieces_) == 0);
    slow.fill(false);
    REQUIRE(slow.wait_last());
    CHECK(slow.text_ == quick.text_);
    CHECK(slow.tokens_ == quick.tokens_);
}

TEST_CASE("a held sequence is cancelled like any other, also on its last piece", "[scheduler]") {
    Rig rig;
    Client running;
    Client finished;
    running.fill(true);
    finished.fill(true);
    auto one = rig.submit(running, 10);
    auto two = rig.submit(finished, 1);
    REQUIRE(one);
    REQUIRE(two);
    REQUIRE(running.wait_offers(2));
    REQUIRE(finished.wait_offers(2));
    rig.engine->cancel(*one);
    rig.engine->cancel(*two);
    CHECK(rig.idle());
    Client next;
    REQUIRE(rig.submit(next, 3));
    REQUIRE(next.wait_last());
    running.fill(false);
    finished.fill(false);
    Client another;
    REQUIRE(rig.submit(another, 3));
    REQUIRE(another.wait_last());
    CHECK(running.get(&Client::pieces_) == 0);
    CHECK(finished.get(&Client::pieces_) == 0);
}

TEST_CASE("idle and held engines use next to no CPU", "[scheduler]") {
    auto process_seconds = [] {
        timespec used{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
    };
    Rig rig;
    Client held;
    held.fill(true);
    REQUIRE(rig.submit(held, 10));
    REQUIRE(held.wait_offers(2));
    // Twenty more offers are twenty waits: some tens of milliseconds that cost almost nothing.
    const double before = process_seconds();
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(held.wait_offers(held.get(&Client::offers_) + 21));
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    CHECK(wall.count() > 0.02);
    CHECK(process_seconds() - before < 0.5 * wall.count());
}

TEST_CASE("one sequence's NaN ends that sequence alone", "[scheduler]") {
    FakeDeviceOptions options;
    options.steps_max = GENERATE(1, 2);
    options.script = [](std::span<const TokenId> tokens, std::vector<float>& logits) {
        if (tokens[0] == 99) logits[3] = std::nanf("");
    };
    Rig rig(options);
    Client broken;
    Client fine;
    REQUIRE(rig.engine->submit({99}, Sampling{}, broken.sink()));
    REQUIRE(rig.submit(fine, 10));
    REQUIRE(broken.wait_last());
    REQUIRE(fine.wait_last());
    CHECK(broken.last_.finish == FinishReason::failed);
    CHECK(fine.last_.finish == FinishReason::length);
    Client later;
    REQUIRE(rig.submit(later, 3));
    CHECK(later.wait_last());
}

TEST_CASE("a lost device fails every sequence and the engine from then on", "[scheduler]") {
    FakeDeviceOptions options = gated(2);
    options.steps_max = GENERATE(1, 2);
    options.fail_at_step = 3;
    Rig rig(options);
    Client clients[4];
    for (Client& client : clients) REQUIRE(rig.submit(client, 50));
    clients[0].fill(true);
    options.gate->release(50);
    for (int i = 1; i < 4; ++i) {
        REQUIRE(clients[i].wait_last());
        CHECK(clients[i].last_.finish == FinishReason::failed);
        CHECK(clients[i].last_.error ==
              "the engine's device failed: the fake device was told to fail");
    }
    clients[0].fill(false);
    REQUIRE(clients[0].wait_last());
    CHECK(clients[0].last_.finish == FinishReason::failed);
    CHECK(clients[0].tokens_.size() == 1);  // the piece it was held on
    Client late;
    auto refused = rig.submit(late, 3);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::device_failed);
    CHECK(refused.error().message ==
          "the engine's device failed earlier: the fake device was told to fail");
    CHECK(rig.idle());
}

TEST_CASE("a lost device is opened again, and the engine serves on", "[scheduler]") {
    FakeDeviceOptions first;
    first.steps_max = GENERATE(1, 2);
    first.fail_at_step = 3;
    std::atomic<int> tries = 0;
    std::atomic<FakeDevice*> second = nullptr;
    Reopening reopening;
    reopening.first_wait = 1ms;
    reopening.open = [&]() -> Result<std::unique_ptr<Device>> {
        if (++tries == 1) return Error(Errc::device_failed, "not yet");
        FakeDeviceOptions again = first;
        again.fail_at_step = -1;
        if (tries == 2) again.pages = first.pages / 2;  // too few, so it is not taken
        auto device = std::make_unique<FakeDevice>(again);
        if (tries > 2) second = device.get();
        return std::unique_ptr<Device>(std::move(device));
    };
    Rig rig(first, {}, 100, reopening);
    Client lost;
    REQUIRE(rig.submit(lost, 50));
    REQUIRE(lost.wait_last());
    CHECK(lost.last_.finish == FinishReason::failed);
    REQUIRE(rig.soon([&] { return rig.engine->occupancy().up; }));
    CHECK(tries == 3);

    Client next;
    REQUIRE(rig.submit(next, 50));
    REQUIRE(next.wait_last());
    CHECK(next.last_.finish == FinishReason::length);
    const Alone alone = run_alone(Rig::prompt(3), limited(50, 1), 50, *rig.tokenizer, rig.options);
    CHECK(next.tokens_ == alone.tokens);
    CHECK(second.load()->faults().empty());
    CHECK(rig.idle());
}

TEST_CASE("an engine that is closed while its device is lost does not wait for it", "[scheduler]") {
    FakeDeviceOptions options;
    options.fail_at_step = 0;
    Reopening reopening;
    reopening.first_wait = 1h;
    reopening.open = []() -> Result<std::unique_ptr<Device>> {
        return Error(Errc::device_failed, "never");
    };
    Rig rig(options, {}, 100, reopening);
    Client lost;
    REQUIRE(rig.submit(lost, 5));
    REQUIRE(lost.wait_last());
    CHECK_FALSE(rig.engine->occupancy().up);
    Client late;
    CHECK_FALSE(rig.submit(late, 5));
    const auto start = std::chrono::steady_clock::now();
    rig.engine.reset();
    CHECK(std::chrono::steady_clock::now() - start < 10min);
}

TEST_CASE("destroying the engine ends every sequence as cancelled", "[scheduler]") {
    FakeDeviceOptions options = gated(2);
    options.steps_max = GENERATE(1, 2);
    Client clients[4];
    {
        Rig rig(options);
        for (Client& client : clients) REQUIRE(rig.submit(client, 50));
        clients[3].fill(true);
        options.gate->release(5);
        REQUIRE(clients[0].wait_pieces(2));
        options.gate->release(1000);
    }
    for (int i = 0; i < 3; ++i) {
        CHECK(clients[i].lasts_ == 1);
        CHECK(clients[i].after_last_ == 0);
    }
    CHECK(clients[2].last_.finish == FinishReason::cancelled);
    CHECK(clients[3].pieces_ == 0);
}
