#include <random>

#include "tests/engine/batch_drive.h"

using namespace sluice;

TEST_CASE("pages are handed out once and the last ones back are used first", "[batch]") {
    PagePool pool(4, 8);
    PageTable a;
    PageTable b;
    CHECK(pool.grow(a, 17));
    CHECK(a.size() == 3);
    CHECK_FALSE(pool.grow(b, 9));
    CHECK(b.empty());  // all or nothing
    CHECK(pool.grow(b, 8));
    CHECK(pool.free() == 0);
    CHECK(pool.grow(b, 3));  // enough already
    PageTable was = a;
    pool.give_back(a);
    CHECK(pool.free() == 3);
    CHECK(pool.grow(a, 20));
    CHECK(a == was);
}

TEST_CASE("a long prompt is computed in parts while others decode every step", "[batch]") {
    Drive drive({});
    SequenceId quick = drive.add(3, 50);
    drive.turn();
    SequenceId slow = drive.add(40, 5);
    for (int part = 0; part < 2; ++part) {
        CHECK(drive.turn() == std::vector<SequenceId>{quick, slow});
        CHECK(drive.find(slow)->computed == 16 * (part + 1));
        CHECK(drive.find(slow)->generated_tokens() == 0);
    }
    drive.turn();
    CHECK(drive.find(slow)->generated_tokens() == 1);
    CHECK(drive.find(quick)->generated_tokens() == 4);
    CHECK(drive.device.faults().empty());
}

TEST_CASE("prompts share the prefill budget of a step, oldest first", "[batch]") {
    Drive drive({});
    SequenceId first = drive.add(10, 5);
    SequenceId second = drive.add(20, 5);
    drive.turn();
    CHECK(drive.find(first)->generated_tokens() == 1);
    CHECK(drive.find(second)->computed == 6);
}

TEST_CASE("a prompt is not admitted before all of it and the reserve are free", "[batch]") {
    FakeDeviceOptions options;
    options.pages = 20;  // 80 tokens
    Drive drive(options);
    SequenceId first = drive.add(40, 30);
    drive.turn();
    SequenceId large = drive.add(34, 10);  // 10 pages are free, but not one for `first` too
    SequenceId small = drive.add(2, 2);
    CHECK(drive.turn() == std::vector<SequenceId>{first});
    CHECK_FALSE(drive.runs(large));
    CHECK_FALSE(drive.runs(small));  // first come, first served
    while (drive.find(first) != nullptr) drive.turn();
    drive.turn();
    CHECK(drive.runs(large));
    CHECK(drive.runs(small));
}

TEST_CASE("when pages run out the youngest gives way and comes back exactly", "[batch]") {
    FakeDeviceOptions options;
    options.pages = 12;  // 48 tokens
    Drive drive(options);
    std::string text;
    auto listen = [&](Piece& piece) {
        text += piece.text;
        return true;
    };
    SequenceId oldest = drive.add(4, 40);
    SequenceId youngest = drive.add(4, 30, listen);
    bool gave_way = false;
    for (int turns = 0; drive.find(oldest) || drive.find(youngest); ++turns) {
        REQUIRE(turns < 200);
        auto ran = drive.turn();
        if (drive.find(oldest)) CHECK(ran.front() == oldest);  // never waits
        gave_way |= drive.find(youngest) && drive.find(youngest)->generated_tokens() > 0 &&
                    !drive.runs(youngest);
    }
    CHECK(gave_way);
    CHECK(drive.device.faults().empty());
    CHECK(drive.batch.pages().used() == 0);
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = youngest;
    CHECK(text == run_alone(prompt_of(4), sampling, 30, drive.tokenizer, options).text);
}

TEST_CASE("a held sequence takes no steps and goes on where it was", "[batch]") {
    Drive drive({});
    bool full = false;
    std::string text;
    SequenceId held = drive.add(3, 12, [&](Piece& piece) {
        if (full) return false;
        text += piece.text;
        return true;
    });
    SequenceId other = drive.add(3, 30);
    drive.turn();
    full = true;
    drive.turn();  // its piece is refused now
    for (int i = 0; i < 5; ++i) CHECK(drive.turn() == std::vector<SequenceId>{other});
    CHECK(drive.find(held)->generated_tokens() == 2);
    full = false;
    while (drive.find(held) != nullptr) drive.turn();
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = held;
    CHECK(text == run_alone(prompt_of(3), sampling, 12, drive.tokenizer, drive.options).text);
}

TEST_CASE("held sequences give way before any that can run", "[batch]") {
    FakeDeviceOptions options;
    options.pages = 12;
    Drive drive(options);
    SequenceId held = drive.add(8, 40, always_full());
    drive.turn();
    SequenceId young = drive.add(4, 40);
    for (int turns = 0; drive.find(young) != nullptr; ++turns) {
        REQUIRE(turns < 200);
        CHECK(drive.turn() == std::vector<SequenceId>{young});
    }
    CHECK_FALSE(drive.runs(held));
}

TEST_CASE("when all that run are held too long one that waits takes their place", "[batch]") {
    FakeDeviceOptions options;
    options.pages = 12;
    Drive drive(options);
    SequenceId held = drive.add(30, 10, always_full());
    drive.turn();
    drive.turn();
    SequenceId waiting = drive.add(20, 3);
    CHECK(drive.turn().empty());  // patience
    for (int i = 0; i < 20 && !drive.runs(waiting); ++i) drive.turn();
    CHECK(drive.runs(waiting));
    CHECK_FALSE(drive.runs(held));
    while (drive.find(waiting) != nullptr) drive.turn();
    CHECK(drive.batch.waiting() == 1);  // still held, still here
}

TEST_CASE("removing a sequence frees its seat and pages wherever it is", "[batch]") {
    FakeDeviceOptions options;
    options.sequences_max = 1;
    Drive drive(options);
    SequenceId running = drive.add(10, 10);
    SequenceId waiting = drive.add(10, 10);
    drive.turn();
    CHECK(drive.batch.remove(waiting) != nullptr);
    CHECK(drive.batch.remove(running) != nullptr);
    CHECK(drive.batch.remove(running) == nullptr);
    CHECK(drive.batch.pages().used() == 0);
    SequenceId next = drive.add(10, 10);
    CHECK(drive.turn() == std::vector<SequenceId>{next});
}

TEST_CASE("what is computed one by one behind a spent budget leaves the others' at nothing",
          "[batch]") {
    FakeDeviceOptions options;
    options.pages = 24;
    options.sequences_max = 4;
    options.prefill_tokens_max = 8;
    Drive drive(options, 4, hash_page, true);
    const SequenceId again = drive.add(4, 40);
    for (int i = 0; i < 20; ++i) drive.turn();
    SubmitOptions high;
    high.priority = 1;
    const SequenceId first = drive.add(prompt_of(80), 1, high);
    while (drive.find(first) != nullptr) drive.turn();
    while (drive.find(again)->computed < 6) drive.turn();
    REQUIRE(drive.batch.preemptions() > 0);
    drive.add(prompt_of(20, 30), 4, high);  // takes all of the budget
    const SequenceId last = drive.add(prompt_of(14, 60), 4, {});
    drive.turn();
    CHECK(drive.find(last)->computed == 0);
    for (int turns = 0; drive.batch.running() + drive.batch.waiting() > 0; ++turns) {
        REQUIRE(turns < 1000);
        drive.turn();
    }
    CHECK(drive.device.faults() == std::vector<std::string>{});
}

TEST_CASE("thousands of random arrivals, leaves, holds and NaNs end exactly as alone",
          "[batch][random]") {
    for (std::uint32_t seed = 1; seed <= 9; ++seed) {
        std::mt19937 random(seed);
        FakeDeviceOptions options;
        options.pages = 24;
        options.sequences_max = 6;
        options.end_every = 15;
        options.steps_max = 1 + static_cast<int>(seed % 2);
        options.swap_pages = seed < 3 || seed == 8 ? 0 : seed < 5 ? 6 : 60;
        options.script = [](std::span<const TokenId> tokens, std::vector<float>& logits) {
            int sum = 0;
            for (TokenId token : tokens) sum += token;
            if (sum % 97 == 0) logits[5] = std::nanf("");
        };
        if (seed > 6) options.prefill_tokens_max = 8;
        Drive drive(options, 4, hash_page, seed > 6);
        struct Client {
            std::vector<TokenId> prompt, tokens;
            std::string text;
            Sampling sampling;
            int generated_max = 0, lasts = 0, pieces_after_last = 0;
            bool full = false, cancelled = false;
            Piece last;
        };
        std::vector<std::unique_ptr<Client>> clients;
        const int arrivals = 1000;
        for (int turn = 0; static_cast<int>(clients.size()) < arrivals ||
                           drive.batch.running() > 0 || drive.batch.waiting() > 0;
             ++turn) {
            REQUIRE(turn < 40 * arrivals);
            bool open = static_cast<int>(clients.size()) < arrivals;
            if (open && random() % 3 == 0 && drive.batch.waiting() < 20) {
                Client& client = *clients.emplace_back(std::make_unique<Client>());
                client.prompt = prompt_of(1 + static_cast<int>(random() % 40), int(random() % 250));
                client.generated_max = 1 + static_cast<int>(random() % 50);
                client.sampling.seed = random();
                client.sampling.temperature = random() % 2 ? 1.0F : 0.0F;
                client.sampling.repetition_penalty = random() % 2 ? 1.0F : 1.3F;
                if (random() % 3 == 0)
                    client.sampling.stop = {std::string(1, char(random() % 128))};
                auto sink = [c = &client](Piece& piece) {
                    if (c->full) return false;
                    c->pieces_after_last += c->lasts;
                    c->text += piece.text;
                    c->tokens.insert(c->tokens.end(), piece.tokens.begin(), piece.tokens.end());
                    if (piece.last) c->last = piece;
                    c->lasts += piece.last;
                    return true;
                };
                drive.batch.add(
                    std::make_unique<Sequence>(++drive.last_id, client.prompt, client.sampling,
                                               sink, client.generated_max, *client.sampling.seed),
                    drive.now);
            }
            if (!clients.empty()) {
                std::size_t at =
                    clients.size() - 1 - random() % std::min<std::size_t>(30, clients.size());
                Client& any = *clients[at];
                clients[clients.size() > 30 ? clients.size() - 31 : 0]->full = false;
                if (random() % 4 == 0) any.full = open && random() % 2;
                if (random() % 40 == 0 && drive.batch.remove(at + 1)) any.cancelled = true;
            }
            if (!open)
                for (auto& client : clients) client->full = false;
            drive.turn();
            for (auto& sequence : drive.done) sequence->deliver(drive.now);
            std::erase_if(drive.done, [](auto& sequence) { return sequence->delivered_last(); });
            std::int64_t held_pages = 0;
            drive.batch.each([&](Sequence& s) { held_pages += std::int64_t(s.pages.size()); });
            REQUIRE(drive.batch.pages().used() == held_pages);
        }
        for (auto& client : clients) client->full = false;
        for (auto& sequence : drive.done) sequence->deliver(drive.now);
        CHECK(drive.device.faults() == std::vector<std::string>{});
        CHECK(drive.batch.pages().used() == 0);
        CHECK(drive.batch.swapped() == 0);
        CHECK((drive.batch.swaps() > 0) == (options.swap_pages > 0));
        int failed = 0;
        int cancelled = 0;
        for (auto& client : clients) {
            Alone alone = run_alone(client->prompt, client->sampling, client->generated_max,
                                    drive.tokenizer, options);
            REQUIRE(client->pieces_after_last == 0);
            if (client->cancelled) {
                ++cancelled;
                REQUIRE(alone.text.starts_with(client->text));
                continue;
            }
            REQUIRE(client->lasts == 1);
            REQUIRE(client->text == alone.text);
            REQUIRE(client->tokens == alone.tokens);
            REQUIRE(client->last.finish == alone.last.finish);
            REQUIRE(client->last.generated_tokens == alone.last.generated_tokens);
            failed += client->last.finish == FinishReason::failed;
        }
        CHECK(failed > 0);
        CHECK(cancelled > 0);
        CHECK(failed + cancelled < 900);
    }
}
