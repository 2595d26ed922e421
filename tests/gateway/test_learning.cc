// What the gateway keeps to learn from: answers of late, the state's file, the shadow's money.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "gateway/learning/learned_file.h"
#include "gateway/learning/learning.h"
#include "gateway/learning/state_file.h"
#include "policies/classifier.h"

namespace sluice {
namespace {

struct Folder {
    Folder() {
        char pattern[] = "/tmp/sluice-learning-XXXXXX";
        path = mkdtemp(pattern);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
    std::string state() const { return path + "/deep/learned.state"; }
};

const Caller alice{"acme", "search", "key-a", "", false};
const Caller bob{"acme", "legal", "key-b", "", false};

Answered answer_of(const Caller& caller, const std::string& id) {
    Answered out;
    out.mark = answer_mark(caller, id);
    out.at_unix_ms = 1'800'000'000'000;
    out.request_id = id;
    out.tier = "local";
    return out;
}

std::unique_ptr<Learning> opened(const Folder& folder, const LearningPolicy& policy = {},
                                 const std::string& classifier = "2-abc") {
    LearningSection section;
    section.state_file = folder.state();
    auto learning = Learning::open(section, classifier, policy);
    INFO((learning ? "" : learning.error().message));
    REQUIRE(learning);
    return std::move(*learning);
}

using What = OutcomeNoted::What;

}  // namespace

TEST_CASE("an outcome is noted once a kind, and a person's word once in all", "[learning]") {
    Folder folder;
    auto learning = opened(folder);
    CHECK(learning->note(alice, "r1", OutcomeKind::thumb, 1).what == What::unknown);
    learning->remember(answer_of(alice, "r1"));
    OutcomeNoted noted = learning->note(alice, "r1", OutcomeKind::thumb, 1);
    CHECK(noted.what == What::noted);
    CHECK(noted.row.learned);
    CHECK(noted.row.kind == "thumb");
    CHECK(noted.row.tier == "local");
    CHECK(learning->note(alice, "r1", OutcomeKind::score, 0).what == What::already);
    CHECK(learning->note(alice, "r1", OutcomeKind::schema, 0).what == What::noted);
    CHECK(learning->note(alice, "r1", OutcomeKind::schema, 0).what == What::already);
    noted = learning->note(alice, "r1", OutcomeKind::regenerated, 0);
    CHECK(noted.what == What::noted);
    CHECK_FALSE(noted.row.learned);
    CHECK(learning->report().find("\"challenger\":{\"labels\":2,") != std::string::npos);
}

TEST_CASE("another team's answer is not found, another key of the team's is", "[learning]") {
    Folder folder;
    auto learning = opened(folder);
    learning->remember(answer_of(alice, "r1"));
    CHECK(learning->note(bob, "r1", OutcomeKind::thumb, 1).what == What::unknown);
    Caller colleague = alice;
    colleague.key_id = "key-c";
    CHECK(learning->note(colleague, "r1", OutcomeKind::thumb, 1).what == What::noted);
}

TEST_CASE("a key's labels beyond its day are kept and not learned", "[learning]") {
    Folder folder;
    LearningPolicy policy;
    policy.learner.key_labels_per_day = 1;
    auto learning = opened(folder, policy);
    for (const char* id : {"r1", "r2"}) learning->remember(answer_of(alice, id));
    CHECK(learning->note(alice, "r1", OutcomeKind::thumb, 1).row.learned);
    OutcomeNoted second = learning->note(alice, "r2", OutcomeKind::thumb, 1);
    CHECK(second.what == What::noted);
    CHECK_FALSE(second.row.learned);
}

TEST_CASE("an id that is forged to another's mark finds nothing", "[learning]") {
    RecentAnswers recent(64);
    const Answered one = answer_of(alice, "r1");
    recent.remember(one);
    CHECK_FALSE(recent.note(one.mark, "another id of that mark", 1).has_value());
    CHECK(recent.note(one.mark, "r1", 1).has_value());
}

TEST_CASE("an id that comes again opens no further word", "[learning]") {
    Folder folder;
    auto learning = opened(folder);
    learning->remember(answer_of(alice, "r1"));
    CHECK(learning->note(alice, "r1", OutcomeKind::thumb, 1).what == What::noted);
    learning->remember(answer_of(alice, "r1"));
    CHECK(learning->note(alice, "r1", OutcomeKind::thumb, 1).what == What::already);
}

TEST_CASE("copies of a question teach a few times a day", "[learning]") {
    Folder folder;
    LearningPolicy policy;
    policy.learner.question_labels_per_day = 3;
    auto learning = opened(folder, policy);
    int taught = 0;
    for (int i = 0; i < 10; ++i) {
        learning->remember(answer_of(alice, "r" + std::to_string(i)));
        auto noted = learning->note(alice, "r" + std::to_string(i), OutcomeKind::thumb, 1);
        taught += noted.row.learned ? 1 : 0;
        if (i == 3) CHECK(noted.learned == Learned::repeated);
    }
    CHECK(taught == 3);
    Answered other = answer_of(alice, "other");
    other.features.words[0] = 7;
    other.features.word_count = 1;
    learning->remember(other);
    CHECK(learning->note(alice, "other", OutcomeKind::thumb, 1).row.learned);
}

TEST_CASE("what shows by itself uses up nobody's words", "[learning]") {
    Folder folder;
    LearningPolicy policy;
    policy.learner.key_labels_per_day = 1;
    auto learning = opened(folder, policy);
    for (const char* id : {"r1", "r2"}) learning->remember(answer_of(alice, id));
    CHECK(learning->note(alice, "r1", OutcomeKind::schema, 1).row.learned);
    CHECK_FALSE(learning->note(alice, "r2", OutcomeKind::schema, 1).row.learned);
    CHECK(learning->note(alice, "r2", OutcomeKind::thumb, 0).row.learned);

    Folder elsewhere;
    policy.learner.key_labels_per_day = 10;
    policy.learner.question_labels_per_day = 1;
    auto another = opened(elsewhere, policy);
    another->remember(answer_of(alice, "r1"));
    CHECK(another->note(alice, "r1", OutcomeKind::schema, 1).row.learned);
    CHECK(another->note(alice, "r1", OutcomeKind::thumb, 0).row.learned);
}

TEST_CASE("one process learns into a file, and an empty one is told as damaged", "[learning]") {
    Folder folder;
    LearningSection section;
    section.state_file = folder.state();
    {
        auto first = opened(folder);
        auto second = Learning::open(section, "2-abc", {});
        REQUIRE_FALSE(second);
        CHECK(second.error().message.find("another process learns into this file") !=
              std::string::npos);
    }
    std::ofstream(folder.state(), std::ios::trunc).close();
    auto again = opened(folder);
    CHECK(std::filesystem::exists(folder.state() + ".refused"));
}

TEST_CASE("answers of late give way to later ones, and many threads may write", "[learning]") {
    RecentAnswers recent(64);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 500; ++i) {
                Answered one = answer_of(alice, std::to_string(t) + "-" + std::to_string(i));
                one.at_unix_ms += i;
                recent.remember(one);
                auto back = recent.note(one.mark, one.request_id, 1);
                if (back && back->request_id != one.request_id) std::abort();
            }
        });
    for (auto& one : threads) one.join();
    int found = 0;
    for (int i = 0; i < 500; ++i) {
        const std::string id = "0-" + std::to_string(i);
        found += recent.note(answer_mark(alice, id), id, 1).has_value() ? 1 : 0;
    }
    CHECK(found <= 64);
}

TEST_CASE("the same question within two minutes names the answer before", "[learning]") {
    Folder folder;
    auto learning = opened(folder);
    Answered first = answer_of(alice, "r1"), second = answer_of(alice, "r2");
    CHECK(learning->asked_before(77, first).empty());
    learning->remember(first);
    second.at_unix_ms += 60'000;
    CHECK(learning->asked_before(77, second) == "r1");
    learning->remember(second);
    CHECK(learning->asked_before(78, answer_of(alice, "r3")).empty());
    Answered late = answer_of(alice, "r4");
    late.at_unix_ms += 600'000;
    CHECK(learning->asked_before(77, late).empty());
}

TEST_CASE("what was learned is there after the process, and a damaged file is put aside",
          "[learning]") {
    Folder folder;
    {
        auto learning = opened(folder);
        learning->remember(answer_of(alice, "r1"));
        learning->note(alice, "r1", OutcomeKind::thumb, 1);
    }
    CHECK(opened(folder)->report().find("\"challenger\":{\"labels\":1,") != std::string::npos);
    std::ofstream(folder.state(), std::ios::app) << "x";
    auto after = opened(folder);
    CHECK(after->report().find("truncated or damaged") != std::string::npos);
    CHECK(after->champion() == nullptr);
    CHECK(std::filesystem::exists(folder.state() + ".refused"));
    CHECK(std::filesystem::exists(folder.state()));
    after.reset();
    std::ofstream(folder.state(), std::ios::app) << "y";
    after = opened(folder);  // what was put aside before is not replaced
    CHECK(std::filesystem::exists(folder.state() + ".refused.2"));
}

TEST_CASE("what was learned waits while the classifier's weights cannot be read", "[learning]") {
    Folder folder;
    auto learn = [&folder](const std::string& classifier, const std::string& id) {
        auto learning = opened(folder, {}, classifier);
        learning->remember(answer_of(alice, id));
        learning->note(alice, id, OutcomeKind::thumb, 1);
        return learning->report();
    };
    learn("2-abc", "r1");
    const std::string waits = learn(Classifier::reasoning_only()->version(), "r2");
    CHECK(waits.find("left alone until the classifier's weights are read") != std::string::npos);
    CHECK(learn("2-abc", "r3").find("\"challenger\":{\"labels\":2,") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(folder.state() + ".refused"));
}

TEST_CASE("a state is exported, taken in elsewhere, and refused where it is none", "[learning]") {
    Folder here, there;
    auto learning = opened(here);
    learning->remember(answer_of(alice, "r1"));
    learning->note(alice, "r1", OutcomeKind::thumb, 1);
    auto other = opened(there);
    CHECK(other->import_state(learning->export_state()));
    CHECK(other->report().find("\"challenger\":{\"labels\":1,") != std::string::npos);
    CHECK_FALSE(other->import_state("sluice-learning 2\n"));
    CHECK_FALSE(other->roll_back(false));  // the prior decides
}

TEST_CASE("a file that cannot be written is named, and the old one stays", "[learning]") {
    Folder folder;
    CHECK(write_state_file(folder.state(), "one"));
    CHECK(write_state_file(folder.state(), "two"));
    CHECK(*read_state_file(folder.state()) == "two");
    CHECK(read_state_file(folder.path + "/none")->empty());
    std::filesystem::create_directory(folder.path + "/taken");
    std::ofstream(folder.path + "/taken/x") << "x";
    Status refused = write_state_file(folder.path + "/taken", "three");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("taken: cannot replace") != std::string::npos);
}

TEST_CASE("the shadow's money is reserved at its worst, and a new day begins anew", "[learning]") {
    Shadow shadow;
    CHECK(shadow.reserve(1, Money{60}, Money{100}));
    CHECK_FALSE(shadow.reserve(1, Money{60}, Money{100}));
    shadow.settle(1, Money{60}, Money{10});
    CHECK(shadow.counts().used_today.pico_usd == 10);
    CHECK(shadow.reserve(1, Money{90}, Money{100}));
    CHECK(shadow.reserve(2, Money{90}, Money{100}));
    shadow.settle(1, Money{90}, Money{0});  // of yesterday: nothing to give back
    CHECK(shadow.counts().used_today.pico_usd == 90);
    CHECK_FALSE(shadow.reserve(2, Money{1}, Money{0}));
}

TEST_CASE("a stop waits for a shadow that was let in and has not begun to ask", "[learning]") {
    Shadow shadow;
    for (int i = 0; i < Shadow::at_once_max; ++i) REQUIRE(shadow.begin());
    CHECK_FALSE(shadow.begin());
    CHECK(shadow.counts().dropped_busy == 1);
    for (int i = 1; i < Shadow::at_once_max; ++i) shadow.end();
    CHECK_FALSE(shadow.stop(std::chrono::milliseconds(1)));
    CHECK_FALSE(shadow.begin());
    shadow.end();
    CHECK(shadow.stop(std::chrono::milliseconds(0)));
    CHECK(shadow.counts().dropped_busy == 1);  // what comes while it stops is no matter of places
}

TEST_CASE("what the shadow cost before a restart counts in its day", "[learning]") {
    Shadow shadow;
    shadow.restore(7, Money{90});
    CHECK_FALSE(shadow.reserve(7, Money{20}, Money{100}));
    CHECK(shadow.reserve(7, Money{10}, Money{100}));
    CHECK(shadow.reserve(8, Money{100}, Money{100}));
}

TEST_CASE("what became of outcomes is counted for a scrape", "[learning]") {
    Folder folder;
    LearningPolicy policy;
    policy.learner.key_labels_per_day = 1;
    auto learning = opened(folder, policy);
    Answered tried = answer_of(alice, "r2");
    tried.propensity = 0.02F;
    learning->remember(answer_of(alice, "r1"));
    learning->remember(tried);
    learning->note(alice, "r1", OutcomeKind::thumb, 1);
    learning->note(alice, "r1", OutcomeKind::thumb, 1);
    learning->note(alice, "r2", OutcomeKind::thumb, 1);
    learning->count(OutcomeKind::label, Learning::Became::unknown);
    MetricsGauges gauges;
    gauges.learning = learning->now();
    std::string text = Metrics().text(gauges);
    for (const char* line :
         {"sluice_feedback_total{kind=\"thumb\",result=\"learned\"} 1",
          "sluice_feedback_total{kind=\"thumb\",result=\"already\"} 1",
          "sluice_feedback_total{kind=\"thumb\",result=\"over_allowance\"} 1",
          "sluice_feedback_total{kind=\"label\",result=\"unknown\"} 1",
          "sluice_explored_requests_total 1", "sluice_shadow_answers_total{result=\"judged\"} 0",
          "sluice_shadow_cost_usd_total 0", "sluice_router_champion_version 0",
          "sluice_router_labels{of=\"challenger\"} 1"}) {
        INFO(line << " in " << text);
        CHECK(text.find(line) != std::string::npos);
    }
}

TEST_CASE("tools read what decides from the state's file", "[learning]") {
    Folder folder;
    {
        auto learning = opened(folder);
        auto model = read_champion(folder.state(), "2-abc");
        REQUIRE(model);
        CHECK(model->version == 0);
        CHECK(model->weights == nullptr);
    }
    auto other = read_champion(folder.state(), "2-other");
    REQUIRE_FALSE(other);
    CHECK(other.error().message.find("another classifier") != std::string::npos);
    auto none = read_champion(folder.path + "/none", "2-abc");
    REQUIRE_FALSE(none);
    CHECK(none.error().message.find("no such file") != std::string::npos);
}

}  // namespace sluice
