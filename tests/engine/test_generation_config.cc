// How a model's makers would have it sampled, as generation_config.json says it.
#include <catch2/catch.hpp>

#include "engine/model/hf_config.h"
#include "tests/engine/hf_folder.h"

using namespace sluice;

TEST_CASE("what the sampler can do of a generation_config.json is taken, the rest is named",
          "[safetensors]") {
    HfFolder folder;
    folder.write("config.json", hashed_models().front().config_json());
    const auto read = [&](const std::string& text) {
        folder.write("generation_config.json", text);
        return read_hf_config(folder.path());
    };
    const auto all =
        read(R"({"top_k":20,"min_p":0.05,"repetition_penalty":1.05,"typical_p":0.9,"top_p":null,)"
             R"("no_repeat_ngram_size":0,"bad_words_ids":[[7]],"do_sample":false,)"
             R"("temperature":0.7,"max_new_tokens":512})");
    if (!all) FAIL(all.error().message);
    CHECK(all->facts.top_k == 20);
    CHECK(all->facts.min_p == 0.05F);
    CHECK(all->facts.repetition_penalty == 1.05F);
    CHECK(all->facts.temperature == 0.0F);  // do_sample: false is greedy, whatever stands beside it
    CHECK_FALSE(all->facts.top_p);
    CHECK(all->facts.ignored == "typical_p, bad_words_ids");
    const auto none = read(R"({"do_sample":true,"typical_p":1.0,"num_beams":1})");
    REQUIRE(none);
    CHECK_FALSE(none->facts.temperature);
    CHECK_FALSE(none->facts.repetition_penalty);
    CHECK(none->facts.ignored.empty());
    CHECK(read(R"({"top_k":-1})")->facts.top_k == 0);  // off, as others write it
    const auto empty =
        read(R"({"suppress_tokens":[],"begin_suppress_tokens":null,"sequence_bias":{}})");
    REQUIRE(empty);
    CHECK(empty->facts.ignored.empty());
}

TEST_CASE("what a generation_config.json has wrong is named, and stops no model", "[safetensors]") {
    HfFolder folder;
    folder.write("config.json", hashed_models().front().config_json());
    const auto read = [&](const std::string& text) {
        folder.write("generation_config.json", text);
        const auto config = read_hf_config(folder.path());
        if (!config) FAIL(config.error().message);
        return config->facts;
    };
    const ModelFacts wrong =
        read(R"({"temperature":3,"top_p":0,"top_k":-2,"min_p":"low","repetition_penalty":0,)"
             R"("do_sample":"yes","num_beams":"many"})");
    CHECK(wrong.ignored ==
          "temperature, top_p, top_k, min_p, repetition_penalty, do_sample, num_beams");
    CHECK_FALSE(wrong.temperature);
    CHECK_FALSE(wrong.top_p);
    CHECK_FALSE(wrong.top_k);
    CHECK_FALSE(wrong.min_p);
    CHECK_FALSE(wrong.repetition_penalty);
    CHECK(read(R"({"top_k":50.5})").ignored == "top_k");
    CHECK(read(R"({"top_k":50.0})").top_k == 50);
    // More than the sampler takes is off, as others write it.
    for (const char* off : {R"({"top_k":2147483647})", R"({"top_k":5000000000})"}) {
        CHECK(read(off).top_k == 0);
        CHECK(read(off).ignored.empty());
    }
}
