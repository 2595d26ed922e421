#include "engine/loop_detector.h"

#include <map>
#include <random>
#include <string>

#include "tests/engine/scheduler_rig.h"

using namespace sluice;

namespace {

// Words with the space before them, digits and other characters one by one: about as a tokenizer
// cuts text.
std::vector<TokenId> tokens_of(const std::string& text) {
    static std::map<std::string, TokenId> ids;
    std::vector<TokenId> out;
    std::string word;
    const auto flush = [&] {
        if (word.empty()) return;
        out.push_back(ids.try_emplace(word, static_cast<TokenId>(ids.size())).first->second);
        word.clear();
    };
    for (char c : text) {
        const bool letter = std::isalpha(static_cast<unsigned char>(c)) != 0;
        if (!letter || word == "\n") flush();
        word += c;
        if (!letter && c != ' ') flush();
    }
    flush();
    return out;
}

std::string times(int count, const std::string& text) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
}

// After how many tokens it is called a loop; 0 = never.
std::size_t found_after(const std::vector<TokenId>& tokens) {
    LoopDetector detector;
    for (std::size_t i = 1; i <= tokens.size(); ++i)
        if (detector.push(std::span(tokens).first(i))) return i;
    return 0;
}

std::vector<TokenId> cycle(std::size_t period, std::size_t tokens, std::size_t before = 0) {
    std::vector<TokenId> out;
    for (std::size_t i = 0; i < before; ++i) out.push_back(static_cast<TokenId>(1000 + i));
    for (std::size_t i = 0; i < tokens; ++i) out.push_back(static_cast<TokenId>(i % period));
    return out;
}

}  // namespace

TEST_CASE("every cycle of up to 64 tokens is found once 1,024 tokens repeat it", "[loop]") {
    for (std::size_t period : {1U, 2U, 3U, 7U, 31U, 63U, 64U})
        for (std::size_t before : {0U, 1U, 40U, 1000U}) {
            INFO(period << " after " << before);
            CHECK(found_after(cycle(period, 1023, before)) == 0);
            CHECK(found_after(cycle(period, 1100, before)) == before + 1024);
        }
}

TEST_CASE("longer cycles, as of paragraphs, are found once 2,048 tokens repeat four rounds",
          "[loop]") {
    for (std::size_t period : {65U, 100U, 333U, 500U, 512U, 700U, 1024U})
        for (std::size_t before : {0U, 1U, 255U, 3000U}) {
            INFO(period << " after " << before);
            const std::size_t enough = std::max<std::size_t>(2048, 4 * period);
            CHECK(found_after(cycle(period, enough - 1, before)) == 0);
            // Looked for every 256 tokens.
            const std::size_t due = (before + enough + 255) / 256 * 256;
            CHECK(found_after(cycle(period, enough + 300, before)) == due);
        }
    CHECK(found_after(cycle(1025, 20'000)) == 0);
}

TEST_CASE("a paragraph with one word changed each time is no loop", "[loop]") {
    for (std::size_t period : {65U, 200U, 1000U}) {
        std::vector<TokenId> tokens = cycle(period, 20'000);
        for (std::size_t i = 0; i < tokens.size(); i += period)
            tokens[i] = static_cast<TokenId>(5000 + i);
        CHECK(found_after(tokens) == 0);
    }
    // Three rounds, then it finds its way on.
    std::vector<TokenId> three = cycle(1000, 3000);
    for (TokenId token = 0; token < 5000; ++token) three.push_back(10'000 + token);
    CHECK(found_after(three) == 0);
}

TEST_CASE("a cycle with one token changed now and then is none", "[loop]") {
    std::vector<TokenId> tokens = cycle(10, 5000);
    for (std::size_t i = 0; i < tokens.size(); i += 500) tokens[i] = static_cast<TokenId>(77 + i);
    CHECK(found_after(tokens) == 0);
}

TEST_CASE("a reasoning model's circles are found", "[loop]") {
    CHECK(found_after(tokens_of("Let me think. " + times(200, "Wait, let me check that again. "))));
    CHECK(found_after(tokens_of(times(60, "So x = 3, and then y = x + 1 = 4. But hmm, no.\n\n"))));
    CHECK(found_after(tokens_of("Answer: " + times(1100, "!"))));
    std::string paragraph;
    for (const char* subject : {"the angle", "the side", "the area", "the height", "the sum"})
        paragraph += "So if " + std::string(subject) + " is twice what we took before, then " +
                     "the other one has to be half of it, and we are back at " + subject +
                     ". Hmm, that contradicts what I said. Let me think again about it.\n\n";
    CHECK(found_after(tokens_of(times(40, paragraph))));
}

TEST_CASE("ordinary text that repeats itself is no loop", "[loop]") {
    std::string table = "| item | price | stock |\n|---|---|---|\n";
    std::string code = "void draw() {\n";
    std::string poem;
    std::string csv;
    for (int i = 0; i < 200; ++i) {
        table += "| part " + std::to_string(i) + " | 10 | 0 |\n";
        csv += std::to_string(1000 + i) + ",0,0,0,0,0,0,0,0\n";
        if (i < 20) code += "    glEnd();\n    glBegin(GL_QUADS);\n";
        if (i < 30)
            poem += "Verse " + std::string(1, static_cast<char>('a' + i % 26)) +
                    " of the song goes by\n" +
                    times(2, "Row, row, row your boat, gently down the stream\n");
    }
    for (const std::string& text :
         {table, code, poem, csv, "[" + times(300, "0, ") + "0]",
          times(18, "[" + times(17, "0, ") + "0],\n"), times(15, "a line like any other\n"),
          times(200, "ha "), "|" + times(120, "---|"), times(25, "[" + times(24, "0, ") + "0],\n"),
          times(8, "A paragraph of a licence that stands above each of eight files in full, word " +
                       std::string("for word, as lawyers want it. ") +
                       times(12, "It says much the same again and again. "))}) {
        INFO(text.substr(0, 60));
        CHECK(found_after(tokens_of(text)) == 0);
    }
}

TEST_CASE("random text is no loop", "[loop]") {
    std::mt19937 random(3);
    std::vector<TokenId> tokens(20000);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 3);
    CHECK(found_after(tokens) == 0);
}

TEST_CASE("a sequence that loops ends as such where that is asked for", "[loop]") {
    FakeDeviceOptions options;
    options.pages = 500;
    options.script = [](std::span<const TokenId> tokens, std::vector<float>& logits) {
        std::fill(logits.begin(), logits.end(), -8.0F);
        logits['a' + tokens.size() % 20] = 50.0F;
    };
    EngineOptions engine_options;
    Rig rig(options, engine_options, 2000);
    Sampling sampling;
    sampling.tokens_max = 1500;
    sampling.seed = 1;
    auto run = [&](bool stop_on_loop, bool ignore_end) {
        Client client;
        sampling.stop_on_loop = stop_on_loop;
        sampling.ignore_end = ignore_end;
        REQUIRE(rig.engine->submit(Rig::prompt(3), sampling, client.sink()));
        REQUIRE(client.wait_last());
        CHECK(client.tokens_.size() == static_cast<std::size_t>(client.last_.generated_tokens));
        return client.last_;
    };
    const Piece looped = run(true, false);
    CHECK(looped.finish == FinishReason::loop);
    CHECK(looped.generated_tokens == 1024);
    CHECK(run(false, false).finish == FinishReason::length);
    CHECK(run(true, true).finish == FinishReason::length);
    CHECK(rig.engine->occupancy().loops_total == 1);
}
