#include <random>
#include <stdexcept>

#include "tests/engine/scheduler_rig.h"

using namespace sluice;

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
    options.steps_max = GENERATE(1, 2);
    options.swap_pages = GENERATE(0, 15);
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
