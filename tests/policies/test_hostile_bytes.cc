// Files that may be damaged or forged, and what callers and answers may hold: read or refused,
// never more. Digests are made to fit, so that what is behind them is looked at.
#include <catch2/catch.hpp>
#include <fstream>

#include "policies/decision_record.h"
#include "policies/golden/json_schema.h"
#include "policies/learner.h"
#include "policies/sha256.h"
#include "policies/weights.h"
#include "tests/fakes/mutated.h"
#include "tests/policies/learned_world.h"

namespace sluice {
namespace {

constexpr std::string_view few_bytes[] = {"\n", std::string_view("\0", 1), "\xFF", "\x7F"};
const std::string classifier = "2-0123456789ab";

// The header of `file` with the digest and, where it says so, the size of another payload.
std::string forged(const std::string& file, const std::string& payload) {
    std::string head = file.substr(0, file.find("\n\n") + 2);
    const std::size_t line = head.rfind("\npayload: ");
    const std::size_t digest = head.find("sha256 ", line == std::string::npos ? 0 : line) + 7;
    head.replace(digest, 64, sha256_hex(payload));
    const std::size_t bytes = head.find(" bytes", line);
    if (line != std::string::npos && bytes != std::string::npos)
        head.replace(line + 10, bytes - line - 10, std::to_string(payload.size()));
    const std::string own = "\nheader: sha256 ";  // of all before that line
    if (const std::size_t at = head.rfind(own); at != std::string::npos)
        head.replace(at + own.size(), 64, sha256_hex(head.substr(0, at + 1)));
    return head + payload;
}

}  // namespace

TEST_CASE("a forged state of what was learned is refused or goes on learning", "[hostile]") {
    Learner learner;
    LearnedWorld world;
    for (int i = 0; i < 20; ++i) learner.learn(world.next());
    const std::string file = learner.write(classifier);
    const std::string payload = file.substr(file.find("\n\n") + 2);
    REQUIRE(Learner::read(forged(file, payload), classifier, "f"));
    std::mt19937 random(1);
    int read = 0, refused = 0;
    for (int round = 0; round < 300; ++round) {
        auto forgery = Learner::read(forged(file, mutated(payload, few_bytes, random)), classifier,
                                     "var/learned.state");
        if (!forgery) {
            ++refused;
            REQUIRE(forgery.error().message.starts_with("var/learned.state: "));
            continue;
        }
        ++read;
        for (int i = 0; i < 3; ++i) forgery->learn(world.next());
        const std::string again = forgery->write(classifier);
        auto back = Learner::read(again, classifier, "f");
        INFO((back ? "" : back.error().message));
        REQUIRE(back);
        forgery->roll_back(false);
        forgery->roll_back(true);
    }
    CHECK(read > 5);
    CHECK(refused > 100);
}

TEST_CASE("forged weights are refused or can be written again", "[hostile]") {
    std::ifstream in(SLUICE_SOURCE_DIR "/policies/weights/router.weights", std::ios::binary);
    const std::string file(std::istreambuf_iterator<char>(in), {});
    const std::string payload = file.substr(file.find("\n\n") + 2);
    REQUIRE(read_weights(forged(file, payload), "f"));
    std::mt19937 random(2);
    int read = 0, refused = 0;
    for (int round = 0; round < 100; ++round) {
        std::string changed = payload;
        const std::size_t at = random() % payload.size();  // in one page, its size kept
        std::string page = mutated(payload.substr(at, 64), few_bytes, random);
        if (round % 4 != 0) page.resize(std::min<std::size_t>(64, payload.size() - at), 'x');
        changed.replace(at, 64, page);
        auto weights = read_weights(forged(file, changed), "own.weights");
        if (!weights) {
            ++refused;
            REQUIRE(weights.error().message.starts_with("own.weights: "));
            continue;
        }
        ++read;
        REQUIRE_FALSE(write_weights(*weights).empty());
    }
    CHECK(read > 10);
    CHECK(refused > 10);
}

TEST_CASE("a damaged decision of the ledger is none, or one that can be kept", "[hostile]") {
    DecisionRecord record;
    record.gain = 0.5F;
    record.max_tokens = 100;
    record.shift = 0.25;
    record.propensity = 0.05;
    record.beside_version = "abc";
    record.beside_tier = "open";
    record.beside_upstream = "open-sim";
    Labels labels;
    labels.data_class = "restricted";
    labels.tags["app"] = "search";
    labels.headers["x-env"] = "prod";
    OnlineFeatures features;
    features.word_count = 40;
    for (std::size_t i = 0; i < features.word_count; ++i)
        features.words[i] = static_cast<std::uint16_t>(i * 97);
    const RecordBytes kinds[] = {write_record(record, labels),
                                 write_record(record, labels, &features, 7)};
    std::mt19937 random(3);
    int read = 0;
    for (int round = 0; round < 5'000; ++round) {
        const std::string whole(kinds[round % 2].view());
        const std::string damaged = mutated(whole, few_bytes, random);
        DecisionRecord found;
        Labels said;
        RecordedFeatures kept;
        if (!read_record(damaged, found, said, &kept)) continue;
        ++read;
        DecisionRecord again;
        Labels same;
        RecordedFeatures written;
        const RecordBytes bytes = write_record(found, said, &kept.of, kept.classifier);
        REQUIRE(read_record(bytes.view(), again, same, &written));
        CHECK(again.max_tokens == found.max_tokens);
        CHECK(written.of.word_count == kept.of.word_count);
        CHECK(std::isfinite(OnlineWeights().p_ok(Side::local, written.of)));
    }
    CHECK(read > 500);
    CHECK(read < 5'000);
}

TEST_CASE("mutated schemas and answers are held against each other without harm", "[hostile]") {
    constexpr std::string_view harm[] = {"\"",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         "null",
                                         "1e999",
                                         "\\ud800",
                                         "\"$ref\":\"#\",",
                                         "\"$ref\":\"#/$defs/a\",",
                                         "\"anyOf\":[{}],",
                                         "\"allOf\":[{}],",
                                         "\"type\":[\"null\"],",
                                         "\"enum\":[1],",
                                         "\"multipleOf\":0,",
                                         "\"maximum\":1e308,",
                                         "\"additionalProperties\":{},",
                                         "-9223372036854775808"};
    const std::string schema =
        R"({"$defs":{"a":{"type":"object","properties":{"n":{"$ref":"#/$defs/a"}}}},)"
        R"("type":"object","required":["name"],"additionalProperties":false,"properties":{)"
        R"("name":{"type":"string","minLength":1},"age":{"type":"integer","minimum":0},)"
        R"("mood":{"anyOf":[{"enum":["good"]},{"type":"null"}]},"a":{"$ref":"#/$defs/a"},)"
        R"("friends":{"type":"array","maxItems":2,"items":{"$ref":"#"}}}})";
    const std::string answer =
        R"({"name":"A","age":1,"mood":null,"a":{"n":{"n":{}}},"friends":[{"name":"B"}]})";
    std::mt19937 random(4);
    int kept = 0, broken = 0, unsaid = 0;
    for (int round = 0; round < 4'000; ++round) {
        const bool both = round % 2 == 0;
        const std::string asked = both ? mutated(schema, harm, random) : schema;
        const std::string said = mutated(answer, harm, random);
        INFO(asked << "\n" << said);
        std::string why;
        auto keeps = keeps_format(
            R"({"type":"json_schema","json_schema":{"name":"x","schema":)" + asked + "}}", said,
            &why);
        if (keeps && *keeps) {
            ++kept;
            continue;
        }
        ++(keeps ? broken : unsaid);
        REQUIRE_FALSE(why.empty());
    }
    CHECK(kept > 20);
    CHECK(broken > 500);
    CHECK(unsaid > 50);
}

}  // namespace sluice
