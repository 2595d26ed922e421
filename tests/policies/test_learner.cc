// Champion and challenger: who decides, who takes over, who must not.
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <random>

#include "learned_world.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

const std::string classifier = "1-abcd";

// Learns until something happens or `most` labels have come.
Learned learn_until(Learner& learner, LearnedWorld& world, int most) {
    Learned last = Learned::yes;
    for (int i = 0; i < most && last == Learned::yes; ++i) last = learner.learn(world.next());
    return last;
}

LearnerOptions generous() {
    LearnerOptions options;
    options.key_labels_per_day = options.team_labels_per_day = 1'000'000;
    options.question_labels_per_day = 1'000'000;
    options.key_share = options.team_share = 1;
    return options;
}

OutcomeLabel inverted(OutcomeLabel label) {
    label.local = 1 - *label.local;
    label.frontier = 1 - *label.frontier;
    return label;
}

}  // namespace

TEST_CASE("the prior decides until the challenger has won", "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    for (int i = 0; i < 299; ++i) REQUIRE(learner.learn(world.next()) == Learned::yes);
    CHECK(learner.champion().version == 0);
    CHECK(learner.champion().weights == nullptr);
    REQUIRE(learn_until(learner, world, 1'000) == Learned::promoted);
    CHECK(learner.champion().version == 1);
    CHECK(learner.champion().labels >= 300);
    CHECK(learner.champion().weights->gain(LearnedWorld::about(true)) > 0.4);
    CHECK(learner.base().version == 0);
}

TEST_CASE("the champion follows the challenger step by step while it wins", "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    REQUIRE(learn_until(learner, world, 1'000) == Learned::promoted);
    double labels = learner.champion().labels;
    for (int i = 0; i < 9; ++i) learner.learn(world.next());
    CHECK(learner.champion().version == 1);
    learner.learn(world.next());
    CHECK(learner.follows());
    CHECK(learner.champion().version == 2);
    CHECK(learner.champion().labels == labels + 10);
    CHECK(learner.before().version == 0);
    CHECK(learner.promotions() == 1);
    for (int i = 0; i < 1'100; ++i) learner.learn(world.next());
    CHECK(learner.before().version > 0);  // of some time before, for whoever rolls back
    CHECK(learner.champion().labels - learner.before().labels < 1'100);
}

TEST_CASE("the champion stays where it is while a team's labels speak against the step",
          "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    REQUIRE(learn_until(learner, world, 1'000) == Learned::promoted);
    std::uint64_t last = 0;
    for (int i = 0; i < 500; ++i) {
        OutcomeLabel label = world.next();
        if (i % 4 == 0) {
            label = inverted(label);
            label.team = "others";
        }
        learner.learn(label);
        if (i == 250) last = learner.champion().version;
    }
    CHECK_FALSE(learner.follows());
    CHECK(learner.champion().version == last);
}

TEST_CASE("labels that say nothing promote nobody", "[learner]") {
    Learner learner(generous());
    std::mt19937 random(9);
    for (int i = 0; i < 4'000; ++i) {
        OutcomeLabel label;
        label.features =
            LearnedWorld::about(random() % 2 == 0, static_cast<std::uint16_t>(random()));
        label.local = random() % 1'000 < 500 ? 1.0 : 0.0;  // as the prior says
        label.frontier = random() % 1'000 < 622 ? 1.0 : 0.0;
        REQUIRE(learner.learn(label) == Learned::yes);
    }
}

TEST_CASE("a roll-back gives the one before at once, or the shipped prior", "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    CHECK_FALSE(learner.roll_back(false));
    REQUIRE(learn_until(learner, world, 2'000) == Learned::promoted);
    CHECK(learner.roll_back(false));
    CHECK(learner.champion().version == 0);
    CHECK(learner.challenger_labels() == 0);
    CHECK(learner.challenger().gain(LearnedWorld::about(true)) ==
          learner.challenger().gain(LearnedWorld::about(false)));
    CHECK(learner.rollbacks() == 1);
    REQUIRE(learn_until(learner, world, 2'000) == Learned::promoted);
    CHECK(learner.champion().version == 2);  // never the same number again
    CHECK(learner.roll_back(true));
    CHECK(learner.champion().weights == nullptr);
}

TEST_CASE("a world that turns round is followed", "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    REQUIRE(learn_until(learner, world, 2'000) == Learned::promoted);
    for (int i = 0; i < 3'000; ++i) {
        OutcomeLabel label = world.next();
        std::swap(label.local, label.frontier);  // now the local tier is the better one
        learner.learn(label);
    }
    const auto& weights = learner.champion().weights;
    CHECK((weights ? *weights : OnlineWeights()).gain(LearnedWorld::about(true)) < 0.3);
}

TEST_CASE("a champion that does worse than what was before it gives way by itself", "[learner]") {
    Learner good(generous()), bad(generous());
    LearnedWorld world;
    REQUIRE(learn_until(good, world, 1'000) == Learned::promoted);
    for (Learned last = Learned::yes; last != Learned::promoted;)
        last = bad.learn(inverted(world.next()));
    Learner learner = bad.imported_over(good);  // learned elsewhere, where all was otherwise
    std::uint64_t version = learner.champion().version;
    Learned last = learn_until(learner, world, 1'000);
    CHECK(last == Learned::rolled_back);
    CHECK(learner.champion().version != version);
    CHECK(learner.champion().version == good.champion().version);
}

TEST_CASE("one key alone, or one team alone, moves nothing for all", "[learner]") {
    Learner learner;
    LearnedWorld world;
    std::map<Learned, int> said;
    for (int day = 0; day < 30; ++day)
        for (int i = 0; i < 200; ++i) {
            OutcomeLabel label = world.next();
            label.day = day;
            label.judged = i % 2 == 0;  // a judge's word on the key's requests is no other's
            ++said[learner.learn(label)];
        }
    CHECK(learner.challenger_labels() == 150);
    CHECK(learner.champion().version == 0);
    CHECK(said[Learned::key_share] == 30 * 200 - 150);
    said.clear();
    for (int i = 0; i < 2'000; ++i) {
        OutcomeLabel label = world.next();
        label.day = 31 + i / 100;
        label.key_id = std::to_string(i % 10);
        ++said[learner.learn(label)];
    }
    CHECK(said[Learned::team_share] > 0);
    CHECK(learner.champion().version == 0);
    for (int i = 0; i < 2'000; ++i) {  // others speak
        OutcomeLabel label = world.next();
        label.day = 60 + i / 100;
        label.key_id = std::to_string(i % 10);
        label.team = i % 2 == 0 ? "support" : "sales";
        learner.learn(label);
    }
    CHECK(learner.champion().version > 0);
}

TEST_CASE("a key's and a team's labels count up to a number a day", "[learner]") {
    LearnerOptions options = generous();
    options.key_labels_per_day = 3;
    options.team_labels_per_day = 5;
    Learner learner(options);
    LearnedWorld world;
    OutcomeLabel label = world.next();
    for (int i = 0; i < 3; ++i) CHECK(learner.learn(label) == Learned::yes);
    CHECK(learner.learn(label) == Learned::key_enough);
    CHECK(learner.challenger_labels() == 3);
    label.key_id = "other";
    for (int i = 0; i < 2; ++i) CHECK(learner.learn(label) == Learned::yes);
    CHECK(learner.learn(label) == Learned::team_enough);
    label.day += 1;
    CHECK(learner.learn(label) == Learned::yes);
}

TEST_CASE("one team's lies cannot promote what another team's labels speak against", "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    for (int i = 0; i < 3'000; ++i) {
        OutcomeLabel label = world.next();
        if (i % 4 != 0) {
            label = inverted(label);
            label.team = "liars";
        }
        REQUIRE(learner.learn(label) != Learned::promoted);
    }
}

TEST_CASE("a day of lies from one key leaves others' ranking as it was", "[learner]") {
    LearnerOptions options;  // 200 labels a key and day
    options.team_share = 1;
    Learner learner(options);
    LearnedWorld world;
    for (int day = 0; day < 20; ++day)
        for (int i = 0; i < 200; ++i) {
            OutcomeLabel label = world.next();
            label.day = day;
            label.key_id = "honest " + std::to_string(i % 3);
            learner.learn(label);
        }
    REQUIRE(learner.champion().version > 0);
    double before = learner.challenger().gain(LearnedWorld::about(true));
    for (int i = 0; i < 10'000; ++i) {
        OutcomeLabel label = inverted(world.next());
        label.day = 20;
        label.key_id = "liar";
        learner.learn(label);
    }
    double after = learner.challenger().gain(LearnedWorld::about(true));
    CHECK(before - after < 0.2);
    CHECK(after > learner.challenger().gain(LearnedWorld::about(false)) + 0.3);
}

TEST_CASE("outcomes of one side teach where the other could have been chosen", "[learner]") {
    Learner learner(generous());
    LearnedWorld world;
    for (int i = 0; i < 50; ++i) {
        OutcomeLabel label = world.next();
        label.frontier.reset();
        REQUIRE(learner.learn(label) == Learned::yes);
    }
    CHECK(learner.trial().all.count() == 0);  // learned from, but no evidence of who is better
    CHECK(learner.challenger_labels() == 50);
    OutcomeLabel label = world.next();
    label.local.reset();
    label.propensity = 0.02;
    learner.learn(label);
    CHECK(learner.trial().all.count() == 1);
}

TEST_CASE("between tiers that are half as far apart half the gain is seen", "[learner]") {
    OutcomeLabel pair;
    pair.features = LearnedWorld::about(true);
    pair.local = 0;
    pair.frontier = 0.25;
    pair.strength = 0.5;
    pair.other = 1;
    OutcomeLabel whole = pair;
    whole.frontier = 0.5;
    whole.strength = 0;
    Learner of_half(generous()), of_whole(generous());
    of_half.learn(pair);
    of_whole.learn(whole);
    CHECK(of_half.trial().all.count() == 1);
    CHECK(of_half.trial().all.mean() == of_whole.trial().all.mean());
    OutcomeLabel single = pair;
    single.frontier.reset();
    single.propensity = 0.99;
    of_half.learn(single);
    CHECK(of_half.trial().all.count() == 2);
    single.other = -1;  // nobody knows what might have been
    of_half.learn(single);
    CHECK(of_half.trial().all.count() == 2);
}

TEST_CASE("what an answer's form says teaches, and is no evidence", "[learner]") {
    Learner learner(generous());
    OutcomeLabel label;
    label.features = LearnedWorld::about(true);
    label.local = 0;
    label.strength = 0;
    label.other = 1;
    label.propensity = 0.99;
    label.implicit = true;
    for (int i = 0; i < 400; ++i) REQUIRE(learner.learn(label) == Learned::yes);
    CHECK(learner.trial().all.count() == 0);
    CHECK(learner.challenger_labels() == 400);
    CHECK(learner.champion().version == 0);
}

TEST_CASE("a tier between teaches both sides by its strength", "[learner]") {
    Learner learner(generous());
    OutcomeLabel label;
    label.features = LearnedWorld::about(true);
    label.local = 0;
    label.strength = 0.5;
    for (int i = 0; i < 50; ++i) learner.learn(label);
    CHECK(learner.challenger().weights().p_ok(Side::local, label.features) < 0.3);
    CHECK(learner.challenger().weights().p_ok(Side::frontier, label.features) < 0.4);
}

TEST_CASE("a state comes back as it was written", "[learner]") {
    LearnerOptions options = generous();
    Learner learner(options);
    LearnedWorld world;
    REQUIRE(learn_until(learner, world, 2'000) == Learned::promoted);
    for (int i = 0; i < 100; ++i) learner.learn(world.next());
    std::string bytes = learner.write(classifier);
    auto back = Learner::read(bytes, classifier, "state");
    REQUIRE(back);
    CHECK(back->write(classifier) == bytes);
    CHECK(back->champion().version == learner.champion().version);
    CHECK(back->trial().all.mean() == learner.trial().all.mean());
    CHECK(back->trial().teams.at(0).name == "support");
    OnlineFeatures hard = LearnedWorld::about(true);
    CHECK(back->champion().weights->gain(hard) == learner.champion().weights->gain(hard));
    CHECK(back->challenger().gain(hard) == learner.challenger().gain(hard));
    back->set_options(LearnerOptions());  // the day's counts came back, too
    CHECK(back->learn(world.next()) == Learned::key_enough);
    CHECK(Learner::read(Learner().write(classifier), classifier, "state"));
}

TEST_CASE("a damaged state is named and refused", "[learner]") {
    Learner learner;
    LearnedWorld world;
    for (int i = 0; i < 20; ++i) learner.learn(world.next());
    const std::string bytes = learner.write(classifier);
    auto why = [&](const std::string& damaged, const std::string& of = classifier) {
        auto read = Learner::read(damaged, of, "var/learned.state");
        return read ? "" : read.error().message;
    };
    CHECK(why("") ==
          "var/learned.state: not usable as what was learned: it does not begin with "
          "'sluice-learning 2'");
    CHECK(why(bytes, "2-other").find("another classifier") != std::string::npos);
    // Whole, by its digest, but not what any learner could have written.
    auto forged = [&](std::size_t at, auto number) {
        std::size_t begin = bytes.find("\n\n") + 2;
        std::string payload = bytes.substr(begin);
        std::memcpy(&payload[at], &number, sizeof number);
        std::size_t digest = bytes.find("sha256 ") + 7;
        return bytes.substr(0, digest) + sha256_hex(payload) + "\n\n" + payload;
    };
    constexpr std::size_t labels_at = 3 * 24;  // behind three models without weights
    constexpr std::size_t evidence_at = labels_at + 8, weight_at = evidence_at + 4 * 8 + 8;
    REQUIRE(why(forged(labels_at, 20.0)) == "");
    for (double labels : {1e300, -1.0}) CHECK(why(forged(labels_at, labels)) != "");
    for (double evidence : {0.1, -1e9}) CHECK(why(forged(evidence_at, evidence)) != "");
    for (float weight : {1e30F, -5.5F}) CHECK(why(forged(weight_at, weight)) != "");
    CHECK(why(forged(weight_at, -5.0F)) == "");
    std::mt19937 random(4);
    for (int i = 0; i < 300; ++i) {
        std::string damaged = bytes;
        std::size_t at = random() % damaged.size();
        std::size_t head = bytes.find("\npayload");
        std::size_t label = bytes.find("champion: ");
        if (at >= label && at < head) continue;  // for people only
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
        INFO("byte " << at);
        CHECK(why(damaged) != "");
        CHECK(why(bytes.substr(0, at)) != "");
    }
}

}  // namespace sluice
