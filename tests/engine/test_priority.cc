#include <random>

#include "tests/engine/batch_drive.h"
#include "tests/engine/scheduler_rig.h"

using namespace sluice;

namespace {

SubmitOptions at(int priority, const char* tenant = "") {
    SubmitOptions options;
    options.priority = priority;
    options.cache_tenant = tenant;
    return options;
}

FakeDeviceOptions seats(int count) {
    FakeDeviceOptions options;
    options.sequences_max = count;
    return options;
}

struct Heard {
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

std::string alone(Drive& drive, SequenceId id, int prompt, int generated) {
    Sampling sampling;
    sampling.ignore_end = true;
    sampling.seed = id;
    return run_alone(prompt_of(prompt), sampling, generated, drive.tokenizer, drive.options).text;
}

}  // namespace

TEST_CASE("of those that wait the highest priority is next, then the oldest", "[priority]") {
    Drive drive(seats(1));
    SequenceId busy = drive.add(prompt_of(3), 2, at(5));
    drive.turn();
    SequenceId low = drive.add(prompt_of(3), 1, at(-1));
    SequenceId first = drive.add(prompt_of(3), 1, at(0));
    SequenceId second = drive.add(prompt_of(3), 1, at(0));
    SequenceId high = drive.add(prompt_of(3), 1, at(3));
    CHECK(drive.turn() == std::vector<SequenceId>{busy});
    for (SequenceId id : {high, first, second, low})
        CHECK(drive.turn() == std::vector<SequenceId>{id});
}

TEST_CASE("a full engine makes place for a higher priority and goes on exactly", "[priority]") {
    Drive drive(seats(2));
    Heard heard[3];
    SequenceId old = drive.add(prompt_of(5), 30, at(0), heard[0].sink());
    SequenceId young = drive.add(prompt_of(6), 30, at(0), heard[1].sink());
    for (int i = 0; i < 4; ++i) drive.turn();
    SequenceId same = drive.add(prompt_of(3), 2, at(0));
    drive.turn();
    CHECK_FALSE(drive.runs(same));
    SequenceId high = drive.add(prompt_of(7), 5, at(1), heard[2].sink());
    CHECK(drive.turn() == std::vector<SequenceId>{high, old});
    CHECK_FALSE(drive.runs(young));
    while (drive.batch.running() + drive.batch.waiting() > 0) drive.turn();
    CHECK(heard[0].text == alone(drive, old, 5, 30));
    CHECK(heard[1].text == alone(drive, young, 6, 30));
    CHECK(heard[2].text == alone(drive, high, 7, 5));
    CHECK(drive.device.faults() == std::vector<std::string>{});
}

TEST_CASE("while there is room nobody gives way to a higher priority", "[priority]") {
    Drive drive(seats(3));
    SequenceId low = drive.add(prompt_of(5), 30, at(-8));
    drive.turn();
    SequenceId high = drive.add(prompt_of(5), 30, at(8));
    CHECK(drive.turn() == std::vector<SequenceId>{high, low});
}

TEST_CASE("pages are freed for a higher priority only if they are enough", "[priority]") {
    FakeDeviceOptions options;
    options.pages = 20;  // 80 tokens
    Drive drive(options);
    SequenceId equal = drive.add(prompt_of(30), 40, at(2));
    SequenceId low = drive.add(prompt_of(10), 4, at(0));
    drive.turn();
    drive.turn();
    drive.turn();
    REQUIRE(drive.runs(low));
    SequenceId large = drive.add(prompt_of(60), 2, at(2));
    drive.turn();
    CHECK(drive.runs(low));  // its pages would not do
    CHECK_FALSE(drive.runs(large));
    drive.batch.remove(large);
    SequenceId small = drive.add(prompt_of(32), 2, at(2));
    drive.turn();
    CHECK(drive.runs(small));
    CHECK(drive.runs(equal));
    CHECK_FALSE(drive.runs(low));
}

TEST_CASE("nobody gives way for pages that a higher priority begins with", "[priority]") {
    FakeDeviceOptions options;
    options.pages = 20;
    Drive drive(options);
    SequenceId large = drive.add(prompt_of(30, 100), 10, at(2));
    SequenceId low = drive.add(prompt_of(32), 8, at(0, "acme"));
    for (int i = 0; i < 5; ++i) drive.turn();
    REQUIRE(drive.runs(low));
    // Of the pages that `low` alone holds it would take the same ones: nothing would be free.
    SequenceId high = drive.add(prompt_of(48), 2, at(2, "acme"));
    drive.turn();
    CHECK(drive.runs(low));
    CHECK_FALSE(drive.runs(high));
    CHECK(drive.batch.preemptions() == 0);
    while (drive.find(large) != nullptr) drive.turn();
    drive.turn();
    CHECK(drive.runs(high));
}

TEST_CASE("two that share a beginning give its pages up together", "[priority]") {
    FakeDeviceOptions options;
    options.pages = 24;
    Drive drive(options);
    SequenceId first = drive.add(prompt_of(64), 20, at(-8, "acme"));
    for (int i = 0; i < 8; ++i) drive.turn();
    SequenceId second = drive.add(prompt_of(64), 20, at(-8, "acme"));
    for (int i = 0; i < 3; ++i) drive.turn();
    REQUIRE(drive.runs(first));
    REQUIRE(drive.runs(second));
    SequenceId high = drive.add(prompt_of(60, 120), 2, at(8));
    drive.turn();
    CHECK(drive.runs(high));
    CHECK_FALSE(drive.runs(first));
    CHECK_FALSE(drive.runs(second));
}

TEST_CASE("a low priority that has waited its time goes before a high one", "[priority]") {
    Drive drive(seats(1));
    SequenceId busy = drive.add(prompt_of(3), 3, at(8));
    drive.turn();
    SequenceId low = drive.add(prompt_of(3), 3, at(0));
    drive.now += 2 * SubmitOptions::priority_lead;
    SequenceId high = drive.add(prompt_of(3), 1, at(2));  // 10 ms short of its lead
    drive.now += std::chrono::milliseconds(20);
    SequenceId late = drive.add(prompt_of(3), 1, at(2));
    while (drive.find(busy) != nullptr) drive.turn();
    CHECK(drive.turn() == std::vector<SequenceId>{low});
    drive.turn();
    drive.turn();
    CHECK(drive.find(low) == nullptr);  // and what is younger does not take its seat
    CHECK(drive.turn() == std::vector<SequenceId>{high});
    CHECK(drive.turn() == std::vector<SequenceId>{late});
}

TEST_CASE("a stream of high priorities does not starve a low one", "[priority]") {
    Drive drive(seats(2));
    SequenceId low = drive.add(prompt_of(5), 20, at(-8));
    const auto begin = drive.now;
    while (drive.find(low) != nullptr) {
        REQUIRE(drive.now - begin < 17 * SubmitOptions::priority_lead);
        drive.now += std::chrono::milliseconds(500);
        while (drive.batch.waiting() < 4) drive.add(prompt_of(5), 3, at(8));
        drive.turn();
    }
    CHECK(drive.now - begin > 15 * SubmitOptions::priority_lead);
}

TEST_CASE("a priority out of range is refused", "[priority]") {
    Rig rig;
    auto refused = rig.engine->submit(
        Rig::prompt(3), limited(3), [](Piece&) { return true; }, at(9));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::invalid_request);
    CHECK(refused.error().message == "priority must be from -8 to 8, got 9");
}

TEST_CASE("under random priorities, holds and tenants every sequence ends exactly as alone",
          "[priority][random]") {
    for (std::uint32_t seed = 1; seed <= 6; ++seed) {
        std::mt19937 random(seed);
        FakeDeviceOptions options = seats(4);
        options.steps_max = 1 + static_cast<int>(seed % 2);
        options.swap_pages = seed < 3 ? 0 : seed < 5 ? 6 : 60;
        options.pages = 26;
        Drive drive(options);
        struct Task {
            std::string text;
            int prompt, generated;
            bool full = false, ended = false;
        };
        std::vector<std::unique_ptr<Task>> tasks;
        for (int turn = 0; tasks.size() < 600 || drive.batch.running() + drive.batch.waiting() > 0;
             ++turn) {
            REQUIRE(turn < 60000);
            if (tasks.size() < 600 && random() % 4 == 0 && drive.batch.waiting() < 12) {
                Task& task = *tasks.emplace_back(std::make_unique<Task>());
                task.prompt = 1 + static_cast<int>(random() % 40);
                task.generated = 1 + static_cast<int>(random() % 40);
                SubmitOptions submit = at(static_cast<int>(random() % 17) - 8);
                if (random() % 2) submit.cache_tenant = "acme";
                drive.add(prompt_of(task.prompt), task.generated, submit, [&task](Piece& piece) {
                    if (task.full) return false;
                    task.text += piece.text;
                    task.ended |= piece.last;
                    return true;
                });
            }
            if (!tasks.empty()) {
                const bool open = tasks.size() < 600;
                tasks[random() % tasks.size()]->full = open && random() % 4 == 0;
                if (random() % 8 == 0 || !open)
                    for (auto& task : tasks) task->full = false;
            }
            drive.now += std::chrono::milliseconds(random() % 4000);
            drive.turn();
            for (auto& sequence : drive.done) sequence->deliver(drive.now);
        }
        for (auto& sequence : drive.done) sequence->deliver(drive.now);
        CHECK(drive.device.faults() == std::vector<std::string>{});
        CHECK(drive.batch.pages().used() == 0);
        CHECK(drive.batch.swapped() == 0);
        CHECK((drive.batch.swaps() > 0) == (options.swap_pages > 0));
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            REQUIRE(tasks[i]->ended);
            REQUIRE(tasks[i]->text == alone(drive, i + 1, tasks[i]->prompt, tasks[i]->generated));
        }
    }
}
