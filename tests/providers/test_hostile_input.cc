// Bytes that mean harm: whatever comes, a reader gives a value or an Error. Run under the address
// sanitizer this also says that it reads nothing but its input.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "chat_samples.h"
#include "providers/dialect.h"
#include "providers/json_fault.h"

using namespace sluice;

namespace {

// A text with a few bytes changed, cut, doubled or put elsewhere.
std::string mutated(std::string text, Samples& samples) {
    static const std::string harm[] = {"\"",
                                       "\\",
                                       "{",
                                       "}",
                                       "[",
                                       "]",
                                       ",",
                                       ":",
                                       "null",
                                       "1e999",
                                       "-",
                                       "\xff",
                                       "\\ud800",
                                       "\\u0000",
                                       "\n\n",
                                       "\r",
                                       "0x1",
                                       "99999999999999999999",
                                       "\xEF\xBB\xBF",
                                       "true",
                                       "data: ",
                                       "[DONE]"};
    for (std::size_t i = 1 + samples.below(3); i > 0; --i) {
        std::size_t at = samples.below(text.size() + 1);
        switch (samples.below(5)) {
            case 0:
                text.insert(at, harm[samples.below(std::size(harm))]);
                break;
            case 1:
                text.erase(at, 1 + samples.below(16));
                break;
            case 2:
                text.resize(at);
                break;
            case 3:
                if (at < text.size()) text[at] = static_cast<char>(samples.below(256));
                break;
            default: {
                std::string piece = text.substr(at, samples.below(64));
                text.insert(samples.below(text.size() + 1), piece);
            }
        }
    }
    return text;
}

const char* const dialect_names[] = {"openai_chat", "anthropic_messages"};

}  // namespace

TEST_CASE("mutated requests are read or refused, never more", "[hostile]") {
    for (const char* name : dialect_names) {
        const Dialect* dialect = find_dialect(name);
        if (!dialect) continue;
        Upstream upstream = plain_upstream(name);
        int refused = 0;
        for (unsigned seed = 0; seed < 3000; ++seed) {
            Samples samples(seed);
            std::string body =
                mutated(dialect->write_request(samples.request(), upstream), samples);
            INFO(name << ": " << body);
            auto request = dialect->read_request(body);
            if (request) {
                CHECK_FALSE(find_json_fault(body));
                CHECK_FALSE(find_json_fault(dialect->write_request(*request, upstream)));
            } else {
                ++refused;
                CHECK_FALSE(request.error().message.empty());
                bool ours = request.error().code == Errc::invalid_request ||
                            request.error().code == Errc::unsupported_parameter;
                CHECK(ours);
            }
        }
        CHECK(refused > 1000);
        CHECK(refused < 3000);
    }
}

TEST_CASE("mutated streams and answers are read or refused, never more", "[hostile]") {
    auto folder = std::filesystem::path(SLUICE_SOURCE_DIR) / "tests/providers/streams";
    std::vector<std::string> streams;
    for (auto& file : std::filesystem::directory_iterator(folder)) {
        if (file.path().extension() != ".sse") continue;
        std::ifstream in(file.path(), std::ios::binary);
        std::ostringstream text;
        text << in.rdbuf();
        streams.push_back(text.str());
    }
    REQUIRE_FALSE(streams.empty());
    for (const char* name : dialect_names) {
        const Dialect* dialect = find_dialect(name);
        if (!dialect) continue;
        Upstream upstream = plain_upstream(name);
        for (unsigned seed = 0; seed < 3000; ++seed) {
            Samples samples(seed);
            std::string bytes = mutated(streams[samples.below(streams.size())], samples);
            SseReader sse;
            auto reader = dialect->event_reader(upstream);
            auto writer = dialect->event_writer(AnswerHead{"i", "m", 1, true});
            std::vector<SseEvent> events;
            std::vector<Delta> deltas;
            REQUIRE(sse.feed(bytes, events));
            bool failed = false;
            for (const SseEvent& event : events) {
                failed = !reader->read(event, deltas);
                if (failed) break;
            }
            if (!failed) (void)reader->finish(deltas);
            std::string out;
            AnswerTail tail;
            for (const Delta& delta : deltas) {
                CHECK(delta.usage.in_uncached >= 0);
                CHECK(delta.usage.out_text >= 0);
                writer->write(delta, delta.last ? &tail : nullptr, out);
            }
            std::string body =
                dialect->write_answer(AnswerHead{"i", "m", 1, true}, samples.answer(), tail);
            (void)dialect->read_answer(mutated(body, samples), upstream);
            (void)dialect->read_error(400, mutated(body, samples));
        }
    }
}

TEST_CASE("texts made to break readers are refused in linear time", "[hostile]") {
    const std::string deep(1'000'000, '[');
    std::string deep_objects;
    for (int i = 0; i < 100'000; ++i) deep_objects += "{\"a\":";
    const std::string texts[] = {deep,
                                 deep_objects,
                                 "{\"model\":" + deep,
                                 "{\"messages\":" + deep_objects,
                                 "{\"messages\":[" + deep_objects,
                                 "{\"max_tokens\":" + std::string(1'000'000, '9') + "}",
                                 "{\"temperature\":0." + std::string(1'000'000, '1') + "e-5}",
                                 "{\"" + std::string(1'000'000, 'k') + "\":1}",
                                 "{\"model\":\"" + std::string(1'000'000, '\\') + "\"}",
                                 std::string(1'000'000, ' '),
                                 std::string(1'000'000, '\0'),
                                 std::string(1'000'000, '"'),
                                 std::string(1'000'000, '\xff')};
    for (const char* name : dialect_names) {
        const Dialect* dialect = find_dialect(name);
        if (!dialect) continue;
        Upstream upstream = plain_upstream(name);
        for (const std::string& text : texts) {
            auto request = dialect->read_request(text);
            REQUIRE_FALSE(request);
            CHECK(request.error().message.size() < 1000);
            CHECK(request.error().param.size() < 1000);
            CHECK_FALSE(dialect->read_answer(text, upstream));
            std::vector<Delta> deltas;
            (void)dialect->event_reader(upstream)->read(SseEvent{"", text}, deltas);
        }
    }
}

TEST_CASE("a list of a request has at most ten thousand items", "[hostile]") {
    for (const char* name : dialect_names) {
        const Dialect* dialect = find_dialect(name);
        if (!dialect) continue;
        for (int turns : {10'000, 10'002}) {
            std::string text = R"({"model":"m","max_tokens":5,"messages":[)";
            for (int i = 0; i < turns; ++i) {
                if (i > 0) text += ',';
                text += i % 2 == 0 ? R"({"role":"user","content":"a"})"
                                   : R"({"role":"assistant","content":"b"})";
            }
            auto request = dialect->read_request(text + "]}");
            CHECK(static_cast<bool>(request) == (turns == 10'000));
            if (request) continue;
            CHECK(request.error().message == "messages: expected at most 10000 items");
            CHECK(request.error().code == Errc::invalid_request);
        }
    }
}

TEST_CASE("the scanner of faults and the fast parser agree on what JSON is", "[hostile]") {
    struct Case {
        const char* text;
        bool good;
    };
    const Case cases[] = {
        {"{}", true},
        {"[]", true},
        {" [1, 2.5e-3 , -0]\n", true},
        {"\"\\u00e9\\n\"", true},
        {"\"\\ud83d\\ude00\"", true},
        {"null", true},
        {"[[],{}]", true},
        {"{\"a\":{\"b\":[]}}", true},
        {"", false},
        {"[1,]", false},
        {"{\"a\":1,}", false},
        {"{a:1}", false},
        {"[1 2]", false},
        {"[1]]", false},
        {"+1", false},
        {".5", false},
        {"1.", false},
        {"1e", false},
        {"-", false},
        {"\"a", false},
        {"\"\t\"", false},
        {"\"\\ude00\"", false},
        {"\"\xC0\x80\"", false},
        {"\"\xED\xA0\x80\"", false},
        {"\"\xF5\x80\x80\x80\"", false},
        {"nul", false},
        {"{\"a\"}", false},
        {"[}", false},
        {"{]", false},
        {"{1:2}", false},
    };
    for (const Case& one : cases) {
        INFO(one.text);
        CHECK(find_json_fault(one.text).has_value() == !one.good);
    }
}
