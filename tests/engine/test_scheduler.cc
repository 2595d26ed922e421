#include <catch2/catch.hpp>
#include <condition_variable>
#include <ctime>
#include <random>
#include <thread>

#include "engine/scheduler.h"
#include "tests/engine/fake_engine_parts.h"

using namespace sluice;
using namespace std::chrono_literals;

namespace {

// The far end of a sequence: gathers pieces on the engine thread, waits for them on the test's.
class Client {
public:
    Sink sink() {
        return [this](Piece& piece) {
            std::lock_guard lock(mutex_);
            ++offers_;
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
        // Refused offers wake nobody, so this one looks again by itself.
        std::unique_lock lock(mutex_);
        for (int i = 0; i < 10000 && offers_ < count; ++i) changed_.wait_for(lock, 1ms);
        return offers_ >= count;
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

private:
    template <class Ready>
    bool wait(Ready ready) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 20s, ready);
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    bool full_ = false;
    int refuse_every_ = 0;
};

struct Rig {
    explicit Rig(FakeDeviceOptions options_in = {}, EngineOptions engine_options = {})
        : options(std::move(options_in)) {
        engine_options.sequences_max = options.sequences_max;
        engine_options.prefill_tokens_max = options.prefill_tokens_max;
        auto made = std::make_unique<FakeDevice>(options);
        device = made.get();
        ModelInfo model;
        model.context_tokens = 100;
        auto result = make_engine(engine_options, std::move(made), tokenizer, model);
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
        auto until = std::chrono::steady_clock::now() + 10s;
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

Sampling limited(int tokens_max, std::optional<std::uint64_t> seed = {}) {
    Sampling sampling;
    sampling.tokens_max = tokens_max;
    sampling.ignore_end = true;
    sampling.seed = seed;
    return sampling;
}

FakeDeviceOptions gated(int sequences_max = 8) {
    FakeDeviceOptions options;
    options.gate = std::make_shared<std::counting_semaphore<>>(0);
    options.sequences_max = sequences_max;
    return options;
}

}  // namespace

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
    Rig rig;
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
    REQUIRE(held.wait_offers(22));
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    CHECK(wall.count() > 0.02);
    CHECK(process_seconds() - before < 0.5 * wall.count());
}

TEST_CASE("one sequence's NaN ends that sequence alone", "[scheduler]") {
    FakeDeviceOptions options;
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

TEST_CASE("destroying the engine ends every sequence as cancelled", "[scheduler]") {
    FakeDeviceOptions options = gated(2);
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

TEST_CASE("the same seed gives the same tokens however crowded the engine is", "[scheduler]") {
    Rig rig;
    Client alone;
    REQUIRE(rig.submit(alone, 30));
    REQUIRE(alone.wait_last());
    Client crowd[8];
    std::vector<std::unique_ptr<Client>> others;
    for (Client& client : crowd) {
        REQUIRE(rig.submit(client, 30));
        Client& other = *others.emplace_back(std::make_unique<Client>());
        REQUIRE(rig.engine->submit(Rig::prompt(40), limited(20, 9), other.sink()));
    }
    for (Client& client : crowd) {
        REQUIRE(client.wait_last());
        CHECK(client.tokens_ == alone.tokens_);
    }
    for (auto& other : others) {
        REQUIRE(other->wait_last());
        CHECK(other->tokens_ == others[0]->tokens_);
    }
}

TEST_CASE("sequences without a seed differ", "[scheduler]") {
    Rig rig;
    Client one;
    Client two;
    REQUIRE(rig.engine->submit({1}, limited(40), one.sink()));
    REQUIRE(rig.engine->submit({1}, limited(40), two.sink()));
    REQUIRE(one.wait_last());
    REQUIRE(two.wait_last());
    CHECK(one.tokens_ != two.tokens_);
}

TEST_CASE("many threads submit, refuse and cancel at once and every sequence ends as alone",
          "[scheduler][random]") {
    FakeDeviceOptions options;
    options.pages = 40;
    options.end_every = 12;
    EngineOptions engine_options;
    engine_options.waiting_max = 100000;
    Rig rig(options, engine_options);
    struct Task {
        Client client;
        std::vector<TokenId> prompt;
        Sampling sampling;
        bool cancelled = false;
    };
    constexpr int threads_max = 3;
    constexpr int tasks_max = 400;
    std::vector<std::vector<std::unique_ptr<Task>>> all(threads_max);
    auto work = [&](std::size_t thread) {
        std::mt19937 random(static_cast<std::uint32_t>(thread) + 1);
        for (int i = 0; i < tasks_max; ++i) {
            Task& task = *all[thread].emplace_back(std::make_unique<Task>());
            task.prompt = Rig::prompt(1 + static_cast<int>(random() % 60));
            task.prompt[0] = static_cast<TokenId>(random() % 200);
            task.sampling.seed = random();
            task.sampling.tokens_max = 1 + static_cast<int>(random() % 40);
            task.client.refuse_every(random() % 2 ? 2 + static_cast<int>(random() % 4) : 0);
            auto id = rig.engine->submit(task.prompt, task.sampling, task.client.sink());
            if (!id) throw std::runtime_error(id.error().message);
            if (random() % 5 == 0) {
                if (random() % 2 == 0) task.client.wait_offers(1);
                rig.engine->cancel(*id);
                task.cancelled = true;
            }
        }
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < threads_max; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
    for (auto& tasks : all)
        for (auto& task : tasks)
            if (!task->cancelled) REQUIRE(task->client.wait_last());
    CHECK(rig.idle());
    CHECK(rig.device->faults() == std::vector<std::string>{});
    for (auto& tasks : all)
        for (auto& task : tasks) {
            Alone alone = run_alone(
                task->prompt, task->sampling,
                std::min(task->sampling.tokens_max, 100 - static_cast<int>(task->prompt.size())),
                *rig.tokenizer, options);
            REQUIRE(task->client.get(&Client::after_last_) == 0);
            if (task->cancelled) {
                REQUIRE(alone.text.starts_with(task->client.get(&Client::text_)));
                REQUIRE(task->client.get(&Client::lasts_) <= 1);
                continue;
            }
            REQUIRE(task->client.lasts_ == 1);
            REQUIRE(task->client.text_ == alone.text);
            REQUIRE(task->client.tokens_ == alone.tokens);
            REQUIRE(task->client.last_.finish == alone.last.finish);
        }
}
