#include <random>

#include "tests/engine/batch_drive.h"
#include "tests/engine/scheduler_rig.h"

using namespace sluice;

namespace {

SubmitOptions of(const std::string& tenant) {
    SubmitOptions options;
    options.cache_tenant = tenant;
    return options;
}

PageKey few_keys(const PageKey& before, std::span<const TokenId> tokens) {
    return {0, hash_page(before, tokens).low % 3};
}

struct Answer {
    std::string text;
    Piece last;
    Sink sink() {
        return [this](Piece& piece) {
            text += piece.text;
            if (piece.last) last = piece;
            return true;
        };
    }
};

}  // namespace

TEST_CASE("a prompt that begins like an earlier one computes only the rest", "[prefix]") {
    Drive drive({});
    Answer first;
    Answer second;
    Answer stranger;
    drive.add(prompt_of(14), 3, of("acme"), first.sink());
    while (drive.batch.running() + drive.batch.waiting() > 0) drive.turn();
    CHECK(first.last.cached_prompt_tokens == 0);
    CHECK(drive.batch.pages().used() == 0);
    CHECK(drive.batch.pages().kept() == 4);  // 14 + 2 computed tokens

    SequenceId id = drive.add(prompt_of(14), 3, of("acme"), second.sink());
    drive.batch.admit(drive.now);
    CHECK(drive.find(id)->computed == 12);
    while (drive.find(id) != nullptr) drive.turn();
    CHECK(second.last.cached_prompt_tokens == 12);
    CHECK(second.last.prompt_tokens == 14);

    drive.add(prompt_of(14), 3, of("zeta"), stranger.sink());
    while (drive.batch.running() + drive.batch.waiting() > 0) drive.turn();
    CHECK(stranger.last.cached_prompt_tokens == 0);
    CHECK(drive.device.faults() == std::vector<std::string>{});
}

TEST_CASE("the last token of a prompt is computed even if all of it is known", "[prefix]") {
    Drive drive({});
    Answer answers[2];
    for (Answer& answer : answers) {
        drive.add(prompt_of(16), 1, of("acme"), answer.sink());
        while (drive.batch.running() + drive.batch.waiting() > 0) drive.turn();
    }
    CHECK(answers[1].last.cached_prompt_tokens == 12);
    CHECK(answers[1].last.generated_tokens == 1);
}

TEST_CASE("an answer is found again by the conversation's next turn", "[prefix]") {
    Drive drive({});
    std::vector<TokenId> said = prompt_of(6);
    drive.add(said, 10, of("acme"), [&](Piece& piece) {
        said.insert(said.end(), piece.tokens.begin(), piece.tokens.end());
        return true;
    });
    while (drive.batch.running() > 0 || drive.batch.waiting() > 0) drive.turn();
    REQUIRE(said.size() == 16);
    said.insert(said.end(), {1, 2, 3});
    Answer next;
    drive.add(said, 1, of("acme"), next.sink());
    drive.turn();
    CHECK(next.last.cached_prompt_tokens == 12);  // of 15 that were computed
}

TEST_CASE("running sequences share the pages of their common beginning", "[prefix]") {
    FakeDeviceOptions options;
    options.pages = 16;
    Drive drive(options);
    drive.add(prompt_of(24), 8, of("acme"));
    drive.turn();
    drive.turn();
    // 24 tokens more would not fit beside the first, were they not its own.
    for (int i = 0; i < 3; ++i) drive.add(prompt_of(24), 8, of("acme"));
    drive.turn();
    CHECK(drive.batch.running() == 4);
    while (drive.batch.running() > 0) drive.turn();
    CHECK(drive.device.faults() == std::vector<std::string>{});
    CHECK(drive.batch.pages().used() == 0);
}

TEST_CASE("kept pages never keep a prompt waiting", "[prefix]") {
    FakeDeviceOptions options;
    options.pages = 10;
    Drive drive(options);
    drive.add(prompt_of(36, 1), 2, of("acme"));
    while (drive.batch.running() + drive.batch.waiting() > 0) drive.turn();
    CHECK(drive.batch.pages().kept() == 9);
    SequenceId other = drive.add(prompt_of(36, 100), 2, of("acme"));
    drive.turn();
    CHECK(drive.runs(other));
}

TEST_CASE("equal hashes never give a sequence another's pages", "[prefix]") {
    Drive drive({}, 4, few_keys);
    for (int round = 0; round < 3; ++round)
        for (int first = 0; first < 30; ++first) {
            drive.add(prompt_of(13, first), 2, of("acme"));
            drive.turn();
        }
    while (drive.batch.running() + drive.batch.waiting() > 0) drive.turn();
    CHECK(drive.device.faults() == std::vector<std::string>{});
    CHECK(drive.batch.pages().used() == 0);
}

TEST_CASE("a sequence that gave way goes on from its own pages, and did not find them cached",
          "[prefix]") {
    FakeDeviceOptions options;
    options.pages = 20;
    options.sequences_max = 2;
    Drive drive(options);
    bool full = false;
    Answer held;
    Sink sink = held.sink();
    SequenceId id = drive.add(prompt_of(30), 20, of("acme"),
                              [&](Piece& piece) { return !full && sink(piece); });
    drive.turn();
    drive.turn();
    full = true;
    SequenceId other = drive.add(prompt_of(20, 100), 40, of("acme"));
    while (drive.find(other) != nullptr) drive.turn();
    REQUIRE_FALSE(drive.runs(id));
    full = false;
    drive.now += std::chrono::milliseconds(10);
    drive.batch.each([&](Sequence& sequence) { sequence.deliver(drive.now); });
    drive.batch.admit(drive.now);
    CHECK(drive.find(id)->computed > 0);
    while (drive.find(id) != nullptr) drive.turn();
    CHECK(held.last.cached_prompt_tokens == 0);
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = id;
    CHECK(held.text == run_alone(prompt_of(30), sampling, 20, drive.tokenizer, options).text);
}

TEST_CASE("the engine says what it found and what it keeps, and forgets when it rests",
          "[prefix]") {
    EngineOptions engine_options;
    engine_options.cached_idle_ms_max = 1;
    Rig rig({}, engine_options);
    auto ask = [&](const std::string& tenant) {
        Client client;
        REQUIRE(rig.engine->submit(Rig::prompt(20), limited(8, 1), client.sink(), of(tenant)));
        REQUIRE(client.wait_last());
        return client.last_.cached_prompt_tokens;
    };
    CHECK(ask("acme") == 0);
    CHECK(ask("acme") == 16);
    CHECK(ask("") == 0);
    CHECK(ask("zeta") == 0);
    Occupancy now = rig.engine->occupancy();
    CHECK(now.kv_pages_used == 0);
    CHECK(now.kv_pages_cached == 12);
    CHECK(now.prompt_tokens_total == 80);
    CHECK(now.prefix_hit_tokens_total == 16);
    const int before = rig.device->rests;
    REQUIRE(rig.soon([&] { return rig.device->rests > before; }));
    CHECK(rig.engine->occupancy().kv_pages_cached == 0);
    CHECK(ask("acme") == 0);
    CHECK(rig.device->faults() == std::vector<std::string>{});
}

TEST_CASE("a device that gives no memory back keeps what is computed, however long nothing runs",
          "[prefix]") {
    EngineOptions engine_options;
    engine_options.cached_idle_ms_max = 0;
    FakeDeviceOptions options;
    options.rests = false;
    Rig rig(options, engine_options);
    Client client;
    REQUIRE(rig.engine->submit(Rig::prompt(20), limited(8, 1), client.sink(), of("acme")));
    REQUIRE(client.wait_last());
    // One that has had work since, and rests, says that the time has come.
    FakeDeviceOptions resting_options;
    Rig resting(resting_options, engine_options);
    Client other;
    REQUIRE(resting.submit(other, 3));
    REQUIRE(other.wait_last());
    const int before = resting.device->rests;
    REQUIRE(resting.soon([&] { return resting.device->rests > before; }));
    CHECK(rig.engine->occupancy().kv_pages_cached > 0);
    Client again;
    REQUIRE(rig.engine->submit(Rig::prompt(20), limited(8, 1), again.sink(), of("acme")));
    REQUIRE(again.wait_last());
    CHECK(again.last_.cached_prompt_tokens == 16);
    CHECK(rig.device->rests == 0);
}

namespace {

struct Asked {
    std::vector<TokenId> prompt, tokens;
    Sampling sampling;
    int generated_max = 0;
    bool full = false, cancelled = false;
    Piece last;
};

// Prompts that share beginnings of every length.
std::vector<TokenId> random_prompt(std::mt19937& random) {
    std::vector<TokenId> out = prompt_of(static_cast<int>(random() % 30), random() % 2 ? 1 : 50);
    const auto own = 1 + random() % 12;
    for (std::size_t i = 0; i < own; ++i) out.push_back(static_cast<TokenId>(random() % 2));
    return out;
}

}  // namespace

TEST_CASE(
    "after random arrivals, leaves, holds and NaNs every page is empty or kept, and every "
    "sequence ended as if nothing had been cached",
    "[prefix][random]") {
    std::int64_t kept = 0;
    for (std::uint32_t seed = 1; seed <= 6; ++seed) {
        std::mt19937 random(seed);
        FakeDeviceOptions options;
        options.pages = 30;
        options.sequences_max = 6;
        options.end_every = 15;
        options.steps_max = seed <= 3 ? 1 : 2;
        options.script = [](std::span<const TokenId> tokens, std::vector<float>& logits) {
            int sum = 0;
            for (TokenId token : tokens) sum += token;
            if (sum % 97 == 0) logits[5] = std::nanf("");
        };
        Drive drive(options, 4, seed % 2 ? hash_page : few_keys);
        const char* tenants[] = {"acme", "zeta", ""};
        std::vector<std::unique_ptr<Asked>> all;
        constexpr std::size_t arrivals = 1500;
        std::int64_t hits = 0;
        for (int turn = 0;
             all.size() < arrivals || drive.batch.running() + drive.batch.waiting() > 0; ++turn) {
            REQUIRE(turn < 100000);
            const bool open = all.size() < arrivals;
            if (open && random() % 2 == 0 && drive.batch.waiting() < 20) {
                Asked& asked = *all.emplace_back(std::make_unique<Asked>());
                asked.prompt = random_prompt(random);
                asked.generated_max = 1 + static_cast<int>(random() % 40);
                asked.sampling.seed = random();
                auto sink = [a = &asked](Piece& piece) {
                    if (a->full) return false;
                    a->tokens.insert(a->tokens.end(), piece.tokens.begin(), piece.tokens.end());
                    if (piece.last) a->last = piece;
                    return true;
                };
                drive.batch.add(
                    std::make_unique<Sequence>(++drive.last_id, asked.prompt, asked.sampling, sink,
                                               asked.generated_max, *asked.sampling.seed,
                                               of(tenants[random() % 3])),
                    drive.now);
            }
            if (!all.empty()) {
                const std::size_t at =
                    all.size() - 1 - random() % std::min<std::size_t>(20, all.size());
                all[at]->full = open && random() % 3 == 0;
                if (random() % 20 == 0 && drive.batch.remove(at + 1)) all[at]->cancelled = true;
                all[all.size() > 20 ? all.size() - 21 : 0]->full = false;
            }
            if (!open)
                for (auto& asked : all) asked->full = false;
            drive.turn();
            for (auto& sequence : drive.done) sequence->deliver(drive.now);
            std::erase_if(drive.done, [](auto& sequence) { return sequence->delivered_last(); });
            std::set<std::int32_t> held;
            drive.batch.each([&](Sequence& s) { held.insert(s.pages.begin(), s.pages.end()); });
            REQUIRE(drive.batch.pages().used() == static_cast<std::int64_t>(held.size()));
        }
        for (auto& asked : all) asked->full = false;
        for (auto& sequence : drive.done) sequence->deliver(drive.now);
        CHECK(drive.device.faults() == std::vector<std::string>{});
        CHECK(drive.batch.pages().used() == 0);
        CHECK(drive.batch.pages().free() == options.pages);
        kept += drive.batch.pages().kept();  // of one run: what its last ones have left, maybe none
        drive.batch.drop_kept();
        CHECK(drive.batch.pages().kept() == 0);
        CHECK(drive.batch.pages().free() == options.pages);
        for (auto& asked : all) {
            if (asked->cancelled) continue;
            Alone alone = run_alone(asked->prompt, asked->sampling, asked->generated_max,
                                    drive.tokenizer, options);
            REQUIRE(asked->tokens == alone.tokens);
            REQUIRE(asked->last.finish == alone.last.finish);
            REQUIRE(asked->last.generated_tokens == alone.last.generated_tokens);
            hits += asked->last.cached_prompt_tokens;
        }
        CHECK(hits > 100);
    }
    CHECK(kept > 0);
}
