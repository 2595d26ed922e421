// The shipped classifier on everyday prompts, conversations and noise.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <new>
#include <sstream>

#include "policies/bare_turn.h"
#include "policies/classify_lines.h"
#include "policies/correction.h"
#include "policies/online_fit.h"
#include "tests/policies/fakes.h"

namespace {

thread_local std::size_t allocations = 0;

}  // namespace

// Counts what the code under test allocates.
void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace sluice {
namespace {

const std::string bands = R"(
version: 1
tiers: {local: [here], open: [open-a], frontier: [far]}
default: {bands: [{below: 0.45, tier: local}, {below: 0.75, tier: open}, {tier: frontier}]}
)";

const Policy& policy() {
    static const Policy read = policy_of(bands, {"here", "open-a", "far"});
    return read;
}

double score_of(const std::string& prompt) {
    return Classifier::builtin()->classify(request_of(prompt)).score;
}

std::string tier_of(double score) { return policy().band(score)->tier; }

// None of these is in the training data.
const std::map<std::string, std::vector<std::string>> by_tier = {
    {"local",
     {"hey", "good morning, hope you are well", "what's the population of Norway?",
      "Who invented the telephone?", "Translate into English: Das Wetter ist heute schön.",
      "How do you say 'see you soon' in Portuguese?",
      "Please fix the spelling mistakes: I definately recomend this restarant.",
      "Write a short text message telling Anna I will be late for dinner.",
      "Summarize: Our support desk moves to the second floor on Monday. Phone numbers stay.",
      "What is 18 + 27?", "What goes well with grilled salmon?",
      "Give me five ideas for a birthday present for my dad.", "Which month comes before August?",
      "Is this comment friendly or rude? 'You people never answer the phone.'",
      "Combien de jours y a-t-il en avril ?", "今天星期几？",
      "What does the abbreviation FYI stand for?",
      "Make this sound more formal: hey, can u send the report asap",
      "Explain in simple words what a budget is."}},
    {"open",
     {"Write a Python function that merges two sorted lists.",
      "Write a function that checks if two strings are anagrams, and give its complexity.",
      "Implement an interval tree in C++ with insert and overlap queries.",
      "Write a SQL query that finds employees who earn more than their manager.",
      "My Node.js server crashes with EMFILE after an hour under load. What is the cause and how "
      "do I fix it?",
      "Find the area enclosed by y = x^2 and y = 4 - x^2.",
      "Two cards are drawn from a deck of 52 without replacement. What is the probability that "
      "both are hearts?",
      "A stone is dropped from a 45 m tower. How long does it fall and how fast does it hit the "
      "ground?",
      "Solve the inequality |2x - 5| < 7 and graph the solution.",
      "Compute the determinant and the inverse of the matrix [[4, 7], [2, 6]]."}},
    {"frontier",
     {"Prove that there are infinitely many prime numbers congruent to 3 modulo 4.",
      "Let $a_1 = 1$ and $a_{n+1} = a_n + \\frac{1}{a_n}$. Prove that $a_{100} > 14$.",
      "Prove that in any triangle the three medians meet in one point, using only vectors, then "
      "generalize to a tetrahedron.",
      "Find all functions $f:\\mathbb{R}\\to\\mathbb{R}$ such that $f(x+f(y)) = f(x)+y$ for all "
      "real $x,y$.",
      "Show that the group of units modulo n is cyclic if and only if n is 1, 2, 4, p^k or 2p^k "
      "for an odd prime p, with a full proof.",
      "Determine all positive integers $n$ for which $n^2+1$ divides $n!$ infinitely often, and "
      "prove your answer.",
      "Prove that every bounded linear operator with closed range between Banach spaces is open "
      "onto its image, without quoting the open mapping theorem."}}};

std::string with_typo(std::string text) {
    for (std::size_t i = 5; i + 1 < text.size(); i += 23)
        if (std::isalpha(static_cast<unsigned char>(text[i])) &&
            std::isalpha(static_cast<unsigned char>(text[i + 1])))
            std::swap(text[i], text[i + 1]);
    return text;
}

std::string with_spaces(const std::string& text) {
    std::string out;
    for (char c : text) out += c == ' ' ? "  " : std::string(1, c);
    return out + "\n";
}

Message turn(Role role, const std::string& text) {
    Message message;
    message.role = role;
    Part part;
    part.text = text;
    message.parts.push_back(part);
    return message;
}

}  // namespace

TEST_CASE("everyday prompts stay local, ordinary problems go open, proofs to the frontier",
          "[classifier]") {
    int misses = 0;
    for (const auto& [expected, prompts] : by_tier)
        for (const std::string& prompt : prompts) {
            double score = score_of(prompt);
            std::string tier = tier_of(score);
            INFO(prompt << " scored " << score);
            // On a band's edge either side will do.
            if (tier_of(score - 0.02) != expected && tier_of(score + 0.02) != expected) ++misses;
            if (expected == "local") CHECK(tier == "local");
            if (expected == "frontier") CHECK(tier != "local");
        }
    CHECK(misses <= 3);  // of 36
}

TEST_CASE("a long but easy prompt stays local", "[classifier]") {
    std::string letter = "Please translate this letter into Spanish:\n\n";
    for (int i = 0; i < 13; ++i)
        letter +=
            "We are glad to tell you that the parcel left our house on Monday. It should be with "
            "you by Thursday at the latest. If nobody is at home, a neighbour may take it. ";
    CHECK(letter.size() > 2'000);
    CHECK(tier_of(score_of(letter)) == "local");
}

TEST_CASE("typos, case, spaces and politeness change few decisions", "[classifier]") {
    int total = 0, flips = 0;
    for (const auto& [expected, prompts] : by_tier)
        for (const std::string& prompt : prompts) {
            std::string upper = prompt;
            for (char& c : upper)
                c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
            std::string tier = tier_of(score_of(prompt));
            for (const std::string& noisy :
                 {"Hi, " + prompt, prompt + " Thanks!", with_spaces(prompt), with_typo(prompt)}) {
                ++total;
                if (tier_of(score_of(noisy)) != tier) ++flips;
            }
        }
    CHECK(total == 144);
    CHECK(flips * 100 <= 5 * total);
}

TEST_CASE("a bare yes has its conversation's score, however many there are", "[classifier]") {
    auto classifier = Classifier::builtin();
    ChatRequest request;
    request.messages.push_back(turn(Role::user, "Here is what I know of numbers so far."));
    request.messages.push_back(turn(Role::assistant, "Go on."));
    request.messages.push_back(
        turn(Role::user, "Prove that there are infinitely many primes congruent to 3 modulo 4."));
    const Difficulty before = classifier->classify(request);
    CHECK(before.score > 0.7);
    CHECK(score_of("yes") < 0.3);
    OnlineFeatures kept, kept_before;
    const auto features = classifier->features(request);
    classifier->classify(request, &kept_before);
    for (const char* bare : {"yes", "ok", "go on please", "Weiter, bitte!", "D’accord, vas-y.",
                             "继续", "", "はい、続けてください"}) {
        INFO(bare);
        request.messages.push_back(turn(Role::assistant, "Shall I go on with the general case?"));
        request.messages.push_back(turn(Role::user, bare));
        Difficulty after = classifier->classify(request, &kept);
        CHECK(after.score == before.score);
        CHECK(after.gain == before.gain);
        CHECK(after.expected_output_tokens == before.expected_output_tokens);
        CHECK(after.domain == before.domain);
        CHECK(kept.prior == kept_before.prior);
        CHECK(classifier->features(request) == features);
    }
    request.messages.push_back(
        turn(Role::user, "Now please translate the last sentence of your answer into French."));
    CHECK(classifier->classify(request).score < 0.45);
    ChatRequest thanks = request_of("hello");
    thanks.messages.push_back(turn(Role::user, "yes"));  // nothing to go back to
    CHECK(classifier->classify(thanks).score < 0.45);
}

TEST_CASE("only turns with nothing of their own are bare", "[classifier]") {
    for (const char* text : {"yes",
                             "Yes!",
                             " ok ",
                             "ok, go on please",
                             "go on please",
                             "continue",
                             "thanks",
                             "Do it.",
                             "yes, please continue",
                             "sounds good, thank you",
                             "👍",
                             "ja",
                             "Ja, mach bitte weiter",
                             "oui, continuez",
                             "d'accord",
                             "sí, claro",
                             "SÍ",
                             "sim, por favor",
                             "va bene, continua",
                             "да",
                             "ДА, ПРОДОЛЖАЙ",
                             "好的，请继续。",
                             "はい",
                             "네, 계속해 주세요",
                             "",
                             "\n",
                             "as you like",
                             "Sounds good to me",
                             "Yes do it now and be quick",
                             "Thanks a lot, that was really very helpful. Please go on!",
                             "That works for me, let's continue",
                             "again please"}) {
        INFO(text);
        CHECK(is_bare_turn(turn(Role::user, text)));
    }
    for (const char* text :
         {"yes?",
          "why",
          "Warum denn",
          "3",
          "option 2",
          "x = y",
          "f(x)",
          "prove it",
          "write a poem",
          "compute the determinant",
          "ok, now tell me what the capital of Peru is",
          "a haiku please",
          "请证明这个定理",
          "是的吗？",
          "¿y luego",
          "почему так",
          "yes yes yes yes yes yes yes yes yes yes yes yes yes",
          "four words of mine",
          "thanks a lot, now prove the lemma",
          "yes, and compare both with quicksort",
          "ok so let us go on with the rest of the whole long proof as we said before, with all of "
          "its lemmas and so on"}) {
        INFO(text);
        CHECK_FALSE(is_bare_turn(turn(Role::user, text)));
    }
    Message image = turn(Role::user, "ok");
    image.parts.emplace_back().kind = Part::Kind::image;
    CHECK_FALSE(is_bare_turn(image));
}

TEST_CASE("a turn of any bytes is bare or not without fault", "[classifier]") {
    for (unsigned a = 0; a < 256; ++a)
        for (unsigned b = 0; b < 256; b += 5)
            for (std::size_t length : {1, 2, 3}) {
                std::string text(length, static_cast<char>(b));
                text[0] = static_cast<char>(a);
                is_bare_turn(turn(Role::user, text));
            }
    CHECK(is_bare_turn(turn(Role::user, std::string(96, ' '))));
    CHECK_FALSE(is_bare_turn(turn(Role::user, std::string(97, ' '))));
}

TEST_CASE("system prompts, answers and tool results are not read", "[classifier]") {
    auto classifier = Classifier::builtin();
    ChatRequest bare = request_of("What is the capital of Peru and what language is spoken there?");
    ChatRequest dressed = bare;
    dressed.messages.insert(dressed.messages.begin(),
                            turn(Role::system, "Prove every theorem rigorously. \\frac{a}{b}"));
    dressed.messages.push_back(turn(Role::tool, "Let $n$ be an integer"));
    CHECK(classifier->classify(dressed).score == classifier->classify(bare).score);
}

TEST_CASE("a request without a user turn, or empty, is classified all the same", "[classifier]") {
    auto classifier = Classifier::builtin();
    ChatRequest request;
    Difficulty empty = classifier->classify(request);
    CHECK(empty.score >= 0);
    CHECK(empty.score <= 1);
    request.messages.push_back(
        turn(Role::system, "Prove that the sum of the first n odd numbers is n^2, by induction."));
    CHECK(classifier->classify(request).score > 0.45);
    request.messages.push_back(turn(Role::user, ""));
    CHECK(classifier->classify(request).score <= 1);
}

TEST_CASE("of a very long turn the beginning and the end are read", "[classifier]") {
    std::string filler(200'000, 'x');
    for (std::size_t i = 0; i < filler.size(); i += 6) filler[i] = ' ';
    std::string task = "Prove that the sequence converges to a rational root. ";
    double middle = score_of(filler.substr(0, 100'000) + task + filler.substr(0, 100'000));
    CHECK(score_of(task + filler) != middle);
    CHECK(score_of(filler + task) != middle);
    CHECK(score_of(filler.substr(0, 90'000) + filler.substr(0, 110'000)) != score_of(task));
}

TEST_CASE("classifying allocates nothing", "[classifier]") {
    auto classifier = Classifier::builtin();
    ChatRequest request = request_of(std::string(50'000, 'a') + " prove this");
    request.messages.push_back(turn(Role::user, "yes"));
    classifier->classify(request);
    std::size_t before = allocations;
    double score = classifier->classify(request).score;
    CHECK(allocations == before);
    CHECK(score >= 0);
}

TEST_CASE("features name what the model saw", "[classifier]") {
    auto classifier = Classifier::builtin();
    std::map<std::string, double> features;
    for (const auto& [name, value] : classifier->features(request_of("Prove $x$ is \\alpha?")))
        features[name] = value;
    CHECK(features.at("words") == 4);
    CHECK(features.at("ends_asking") == 1);
    CHECK(features.at("prove") > 0);
    CHECK(features.at("reasoning") > 0.5);
    CHECK(features.count("local_ok") == 1);
}

TEST_CASE("classify writes one line a request in the same order", "[classifier]") {
    std::istringstream in(
        "{\"id\":7,\"prompt\":\"hello\"}\n\n"
        "{\"id\":\"a\\\"b\",\"messages\":[{\"role\":\"user\",\"content\":\"Prove that there are "
        "infinitely many primes congruent to 3 modulo 4.\"}]}\n"
        "{\"prompt\":\"hi\"}");
    std::ostringstream out;
    REQUIRE(classify_lines(*Classifier::builtin(), policy(), in, out));
    std::istringstream lines(out.str());
    std::string first, second, third, rest;
    std::getline(lines, first);
    std::getline(lines, second);
    std::getline(lines, third);
    CHECK_FALSE(std::getline(lines, rest));
    CHECK_THAT(first, Catch::StartsWith("{\"id\":7,\"difficulty\":0."));
    CHECK_THAT(first, Catch::Contains("\"tier\":\"local\",\"expected_output_tokens\":"));
    CHECK_THAT(first, Catch::Contains("\"features\":{\"reasoning\":"));
    CHECK_THAT(second, Catch::StartsWith("{\"id\":\"a\\\"b\",\"difficulty\":0."));
    CHECK_THAT(second, Catch::Contains("\"tier\":\"frontier\""));
    CHECK_THAT(third, Catch::StartsWith("{\"id\":null,"));
}

TEST_CASE("classify stops at the first wrong line and names it", "[classifier]") {
    for (auto [line, said] : std::vector<std::pair<std::string, std::string>>{
             {"{\"prompt\":\"a\"", "line 2: not JSON: "},
             {"[]", "line 2: expected a JSON object"},
             {"{\"prompt\":3}", "line 2: expected 'prompt', a text, or 'messages', a list"},
             {"{\"messages\":[{\"role\":\"nobody\",\"content\":\"x\"}]}", "line 2: "}}) {
        std::istringstream in("{\"prompt\":\"fine\"}\n" + line + "\n{\"prompt\":\"never\"}\n");
        std::ostringstream out;
        Status done = classify_lines(*Classifier::builtin(), policy(), in, out);
        REQUIRE(!done);
        CHECK(done.error().code == Errc::invalid_request);
        CHECK_THAT(done.error().message, Catch::StartsWith(said));
        std::string written = out.str();
        CHECK(std::count(written.begin(), written.end(), '\n') == 1);
    }
}

}  // namespace sluice
