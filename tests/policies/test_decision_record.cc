#include <catch2/catch.hpp>
#include <random>

#include "policies/decision_record.h"

namespace sluice {
namespace {

DecisionRecord full() {
    DecisionRecord record;
    record.tools = record.json_schema = true;
    record.gain = 0.375F;
    record.ok_frontier = 0.75F;
    record.needs_reasoning = 0.25F;
    record.domain = Domain::code;
    record.expected_output_tokens_frontier = 1'000;
    record.chance = 0.25;
    record.propensity = 0.01;
    record.input_tokens = 123'456;
    record.expected_output_tokens = 789;
    record.max_tokens = 0;
    record.turns = 7;
    record.budget_pressure = 0.875;
    record.session_upstream = 0xDEADBEEF;
    record.session_prefix_tokens = 100'000;
    record.seen.pii_asked = 31;
    record.seen.pii_found = 4;
    record.seen.language = "de";
    return record;
}

}  // namespace

TEST_CASE("a decision record comes back as it was written", "[record]") {
    Labels labels;
    labels.data_class = "restricted";
    labels.tags = {{"app", "search"}, {"t:odd", ""}};
    labels.headers = {{"x-env", "prod"}};
    RecordBytes bytes = write_record(full(), labels);
    CHECK(bytes.size < 100);
    DecisionRecord back;
    Labels with;
    with.tags["left"] = "over";
    REQUIRE(read_record(bytes.view(), back, with));
    CHECK(back.tools);
    CHECK_FALSE(back.images);
    CHECK(back.json_schema);
    CHECK_FALSE(back.labels_cut);
    CHECK(back.gain == 0.375F);
    CHECK(back.ok_frontier == 0.75F);
    CHECK(back.needs_reasoning == 0.25F);
    CHECK(back.domain == Domain::code);
    CHECK(back.expected_output_tokens_frontier == 1'000);
    CHECK(back.propensity == 0.01);
    CHECK(back.chance == Approx(0.25).margin(1e-4));
    CHECK(back.input_tokens == 123'456);
    CHECK(back.expected_output_tokens == 789);
    CHECK(back.max_tokens == 0);
    CHECK(back.turns == 7);
    CHECK(back.budget_pressure == 0.875);
    CHECK(back.session_upstream == 0xDEADBEEF);
    CHECK(back.session_prefix_tokens == 100'000);
    CHECK(back.seen.pii_asked == 31);
    CHECK(back.seen.pii_found == 4);
    CHECK(back.seen.language == "de");
    CHECK(with.data_class == "restricted");
    CHECK(with.tags == labels.tags);
    CHECK(with.headers == labels.headers);
}

TEST_CASE("what a candidate chose and a budget had left are on record when they are", "[record]") {
    DecisionRecord record = full();
    record.budget_left = Money{-7};
    record.beside_version = "0123456789ab";
    record.beside_tier = "open";
    record.beside_upstream = "open-sim";
    Labels labels, with;
    labels.data_class = "public";
    DecisionRecord back;
    REQUIRE(read_record(write_record(record, labels).view(), back, with));
    CHECK(back.budget_left == Money{-7});
    CHECK(back.beside_version == "0123456789ab");
    CHECK(back.beside_tier == "open");
    CHECK(back.beside_upstream == "open-sim");
    CHECK(with.data_class == "public");
    REQUIRE(read_record(write_record(full(), labels).view(), back, with));
    CHECK_FALSE(back.budget_left.has_value());
    CHECK(back.beside_version.empty());
    CHECK(back.beside_tier.empty());
}

TEST_CASE("labels that do not fit are left out, and that is on record", "[record]") {
    Labels labels;
    for (int i = 0; i < 16; ++i) labels.tags["tag-" + std::to_string(i)] = std::string(100, 'x');
    RecordBytes bytes = write_record(full(), labels);
    CHECK(bytes.size <= record_bytes_max);
    DecisionRecord back;
    Labels with;
    REQUIRE(read_record(bytes.view(), back, with));
    CHECK(back.labels_cut);
    CHECK(with.tags.size() == 1);
}

TEST_CASE("what a request may be scored anew by is on record beside its labels", "[record]") {
    OnlineFeatures features;
    for (std::size_t i = 0; i < structural_count; ++i)
        features.structural[i] = static_cast<std::int8_t>(static_cast<int>(i * 9 % 256) - 128);
    features.prior = {-1.25F, 2.5F};
    features.app = 200;
    Labels labels, with;
    labels.data_class = "public";
    for (std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{2}, words_kept_max}) {
        features.word_count = static_cast<std::uint16_t>(count);
        for (std::size_t i = 0; i < count; ++i)
            features.words[i] = static_cast<std::uint16_t>((8'191 + 7 * i) % 16'384);
        RecordBytes bytes = write_record(full(), labels, &features, classifier_mark("4-abc"));
        CHECK(bytes.size <= record_bytes_max);
        DecisionRecord back;
        RecordedFeatures kept;
        REQUIRE(read_record(bytes.view(), back, with, &kept));
        CHECK(with.data_class == "public");
        CHECK(back.turns == 7);
        CHECK(kept.classifier == classifier_mark("4-abc"));
        CHECK(kept.of.prior == features.prior);
        CHECK(kept.of.app == 200);
        CHECK(kept.of.structural == features.structural);
        OnlineWeights weights;  // the sum over them is the same
        for (auto& side : weights.of)
            for (std::size_t i = 0; i < learned_count; ++i)
                side.push_back(static_cast<float>(i * 31 % 17) / 17);
        CHECK(weights.p_ok(Side::local, kept.of) ==
              Approx(weights.p_ok(Side::local, features)).epsilon(1e-9));
        for (std::size_t i = 1; i < count; ++i) CHECK(kept.of.words[i - 1] <= kept.of.words[i]);
    }
    RecordedFeatures none;
    DecisionRecord back;
    REQUIRE(read_record(write_record(full(), labels).view(), back, with, &none));
    CHECK(none.classifier == 0);

    labels.tags["long"] = std::string(120, 'x');  // features take no label's room
    REQUIRE(read_record(write_record(full(), labels, &features, 1).view(), back, with));
    CHECK_FALSE(back.labels_cut);
    CHECK(with.tags == labels.tags);
}

TEST_CASE("a language that was not asked for is not the same as none found", "[record]") {
    DecisionRecord record, back;
    Labels labels;
    REQUIRE(read_record(write_record(record, labels).view(), back, labels));
    CHECK_FALSE(back.seen.language);
    record.seen.language = "";
    REQUIRE(read_record(write_record(record, labels).view(), back, labels));
    CHECK(back.seen.language == "");
}

TEST_CASE("a record of the first version is read, without what it does not have", "[record]") {
    const std::string first(
        "\x01\x01\xff\x7f\x00\x00\x00\x3f\x00\x00\x64\x32\x00\x02\x00\x00\x00\x01-\x05t:app\x04"
        "chat",
        30);
    DecisionRecord back;
    Labels labels;
    REQUIRE(read_record(first, back, labels));
    CHECK(back.tools);
    CHECK(back.gain == 0.5F);
    CHECK(back.ok_frontier < 0);
    CHECK(back.domain == Domain::other);
    CHECK(back.input_tokens == 100);
    CHECK(back.expected_output_tokens == 50);
    CHECK(back.turns == 2);
    CHECK(labels.tags.at("app") == "chat");
}

TEST_CASE("bytes that are no record, or half of one, are refused", "[record]") {
    Labels labels;
    labels.tags["app"] = "search";
    DecisionRecord one = full();
    one.propensity = 1;  // which is not written
    RecordBytes bytes = write_record(one, labels);
    DecisionRecord back;
    for (std::size_t size = 0; size < bytes.size; ++size) {
        // A record cut between two labels would be whole: there is one here only.
        bool whole = read_record(bytes.view().substr(0, size), back, labels);
        CHECK((!whole || size + 13 == bytes.size));
    }
    CHECK_FALSE(read_record("\x03xxxxxxxxxxxxxxxxxxxxxxxx", back, labels));
    std::mt19937 random(7);
    for (int i = 0; i < 20'000; ++i) {
        std::string noise(random() % 60, '\1');
        for (std::size_t k = 1; k < noise.size(); ++k) noise[k] = static_cast<char>(random());
        read_record(noise, back, labels);  // reads nothing outside: sanitizers would say so
    }
}

}  // namespace sluice
