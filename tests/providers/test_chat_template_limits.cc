#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "providers/local/chat_template.h"
#include "providers/local/jinja_parser.h"

using namespace sluice;

namespace {

const std::string folder = SLUICE_SOURCE_DIR "/tests/providers/chat_templates/";

Message turn(Role role, std::string text) {
    Message message;
    message.role = role;
    Part part;
    part.text = std::move(text);
    message.parts.push_back(std::move(part));
    return message;
}

// What rendering `source` for one user's message says: the text, or the error.
std::string outcome(std::string_view source, const std::string& content = "hello") {
    auto parsed = ChatTemplate::parse(source, "<s>", "</s>");
    if (!parsed) return parsed.error().message;
    auto rendered = (*parsed)->render({turn(Role::user, content)}, {}, true, 0);
    return rendered ? rendered->bytes() : rendered.error().message;
}

std::vector<std::string> all_templates() {
    std::vector<std::string> sources;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".jinja") continue;
        std::ifstream in(entry.path(), std::ios::binary);
        std::ostringstream text;
        text << in.rdbuf();
        sources.push_back(text.str());
    }
    return sources;
}

std::string times(std::string_view text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
}

}  // namespace

TEST_CASE("a fault names its line, its column and what it is", "[chat_template]") {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"{{ name | nosuch }}", "chat template:1:11: unknown filter 'nosuch'; known: abs, "},
        {"a\nb {% if x is nosuch %}",
         "chat template:2:14: unknown test 'nosuch'; known: boolean, "},
        {"\n\n  {% include 'x' %}", "chat template:3:6: unknown tag 'include'; known: if, for, "},
        {"{% if x %}\n{{ y }}", "chat template:1:4: 'if' has no 'endif'"},
        {"{{ (1 }}", "chat template:1:7: '}' closes nothing that is open"},
        {"{{ 'abc }}", "chat template:1:4: string ' has no end"},
        {"x\n{# y", "chat template:2:1: comment '{#' has no end '#}'"},
        {"{{ a b }}", "chat template:1:6: expected '}}', found 'b'"},
        {"{{ a", "chat template:1:5: the template ends inside a tag; '}}' is missing"},
        {"{{ $ }}", "chat template:1:4: character '$' has no meaning in an expression"},
        {"{% for x on y %}", "chat template:1:10: expected 'in', found 'on'"},
        {"{% for x in y recursive %}", "chat template:1:15: 'recursive' loops are not supported"},
        {"{% break %}", "chat template:1:4: 'break' outside of a 'for'"},
        {"{{ f(*a) }}", "chat template:1:6: '*' before an argument is not supported"},
        {"{{ 99999999999999999999 }}", "chat template:1:24: number '99999999999999999999' is too "},
        {"a\n{{ messages.nosuch.deeper }}",
         "chat template:2:19: 'nosuch' is undefined, so it has no 'deeper'"},
        {"{{ messages[0].content + 1 }}",
         "chat template:1:24: '+' between a string and an integer"},
        {"{{ 'a' + missing }}",
         "chat template:1:8: '+' between a string and undefined ('missing' is undefined)"},
        {"{% for x in 5 %}{% endfor %}", "chat template:1:4: an integer cannot be gone over"},
        {"{{ nosuch('x') }}", "chat template:1:10: 'nosuch' is undefined and cannot be called"},
        {"{% set q.x = 1 %}", "chat template:1:4: 'q' is not a namespace, so 'x' cannot be set"},
        {"{{ raise_exception('only two turns') }}",
         "the model's chat template refuses the conversation: only two turns"},
    };
    for (const auto& [source, expected] : cases) {
        const std::string said = outcome(source);
        INFO(source << "\n" << said);
        CHECK(said.substr(0, expected.size()) == expected);
    }
}

TEST_CASE("a refusal is the caller's fault and a broken template the file's", "[chat_template]") {
    auto refusing = ChatTemplate::parse("{{ raise_exception('no') }}", "", "");
    REQUIRE(refusing);
    CHECK((*refusing)->render({}, {}, true, 0).error().code == Errc::invalid_request);
    auto broken = ChatTemplate::parse("{{ 1 / 0 }}", "", "");
    REQUIRE(broken);
    CHECK((*broken)->render({}, {}, true, 0).error().code == Errc::bad_file);
    CHECK(ChatTemplate::parse("{{", "", "").error().code == Errc::bad_file);
}

TEST_CASE("a hostile template ends in an error, soon and with little memory", "[chat_template]") {
    const std::string deep = "nested deeper than 100 levels";
    const std::string levels = "of more than 100 levels";
    const std::string work = "does more work than";
    const std::string stack = "nested too deeply";
    const std::string loop = "{% for a in range(99999) %}{% for b in range(99999) %}";
    const std::string loops = "{% endfor %}{% endfor %}";
    const std::pair<std::string, std::string> cases[] = {
        {"{{ " + times("(", 5000) + "1" + times(")", 5000) + " }}", deep},
        {"{{ " + times("[", 5000) + times("]", 5000) + " }}", deep},
        {"{{ " + times("not ", 5000) + "1 }}", deep},
        {"{{ " + times("-", 1) + times(" -", 5000) + "1 }}", deep},
        {times("{% if 1 %}", 5000), deep},
        {"{{ 1" + times("+1", 5000) + " }}", levels},
        {"{{ a" + times(".b", 5000) + " }}", levels},
        {"{{ a" + times("|trim", 5000) + " }}", levels},
        {"{{ " + times("a if b else ", 5000) + "c }}", deep},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", stack},
        {loop + "{{ a * b }}" + loops, work},
        {loop + loops, work},
        {"{{ 'x' * 999999999 * 999999999 }}", work},
        {"{% set ns = namespace(s='xxxxxxxx') %}" + loop + "{% set ns.s = ns.s + ns.s %}" + loops,
         work},
        {"{% set ns = namespace(l=[1]) %}" + loop + "{% set ns.l = [ns.l, ns.l] %}" + loops, stack},
        {"{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}"
         "{% endfor %}{{ ns.l }}",
         work},
        {"{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}"
         "{% endfor %}{{ ns.l | tojson }}",
         work},
        {"{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(60) %}"
         "{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}"
         "{{ ns.l == ns.m }}",
         work},
        {"{% set ns = namespace(l=[1]) %}" + loop + "{% set ns.l = ns.l + ns.l %}" + loops, work},
        {"{% set ns = namespace(a=1) %}" + loop +
             "{% for x in [ns.a] %}{% set ns.a = loop %}"
             "{% endfor %}" +
             loops,
         stack},
        {"{% set a = 'a' * 4000000 %}{{ a.find('a' * 2000000 ~ 'b') }}", work},
        {"{% set a = 'a' * 9000000 %}{% set l = [a, a ~ 'x', a] %}" + loop +
             "{% set x = l | sort %}" + loops,
         work},
        {"{{ 2 ** 99999999999 }}", "integer overflow"},
        {"{{ range(99999999) }}", "range of more than 100000 items"},
        {"{{ range(0, 10, 0) }}", "range of more than"},
        {"{% for c in 'x' * 40000000 %}{% endfor %}", work},
        {std::string(300'000, 'x'), "300000 bytes; at most"},
        {"{{ namespace(a=1) }}", "a namespace cannot be printed"},
    };
    for (const auto& [source, expected] : cases) {
        const std::clock_t start = std::clock();
        const std::string said = outcome(source);
        const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        INFO(source.substr(0, 200) << "\n" << said.substr(0, 300) << "\n" << took << " s");
        CHECK(said.find(expected) != std::string::npos);
        CHECK(took < 20);  // far beyond what it takes, also under a sanitizer
    }
}

TEST_CASE("a namespace that holds itself is no leak and no endless walk", "[chat_template]") {
    CHECK(outcome("{% set a = namespace(x=1) %}{% set a.a = a %}{% set a.l = [a] %}"
                  "{{ a.a.a.l[0].x }}") == "1");
    CHECK(outcome("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}"
                  "{{ a.b.a == a }}") == "True");
}

TEST_CASE("a mutated template is an error or a text, never a crash", "[chat_template]") {
    const std::vector<std::string> sources = all_templates();
    REQUIRE(sources.size() >= 6);
    static const std::string_view parts[] = {
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "+",
        "'",
        "\"",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "|",
        ".",
        ",",
        "~",
        " if ",
        " else ",
        " for ",
        " in ",
        " is ",
        " not ",
        "endif",
        "endfor",
        "{% set ",
        "{% endset %}",
        "{% macro m(a) %}",
        "{% endmacro %}",
        "{% raw %}",
        "loop.",
        "messages",
        "range(9)",
        "namespace(",
        "9",
        "0",
        "-1",
        "::",
        "**",
        "//",
        "| tojson",
        "| join",
        "| sort",
        "| map('upper')",
        "\\",
        "\\u12",
        "\xFF",
        "\xE2\x80",
        "\n",
        " ",
        "\t",
        "{% break %}",
    };
    std::mt19937 random(20261122);
    const auto below = [&random](std::size_t n) {
        return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    Message call = turn(Role::assistant, "");
    call.tool_calls.push_back({"id", "f", R"({"a": [1, 2.5, "x"]})"});
    const std::vector<Message> messages = {turn(Role::system, "S"),
                                           turn(Role::user, " \xF0\x9F\x8E\x89 "), call,
                                           turn(Role::tool, "r"), turn(Role::user, "q")};
    Tool tool;
    tool.name = "f";
    tool.parameters = R"({"type": "object"})";
    int rendered = 0;
    for (int round = 0; round < 4'000; ++round) {
        std::string source = sources[below(sources.size())];
        const std::size_t edits = 1 + below(4);
        for (std::size_t edit = 0; edit < edits && !source.empty(); ++edit) {
            const std::size_t at = below(source.size());
            switch (below(4)) {
                case 0:
                    source.erase(at, 1 + below(12));
                    break;
                case 1:
                    source.insert(at, parts[below(std::size(parts))]);
                    break;
                case 2:
                    source[at] = static_cast<char>(below(256));
                    break;
                default:
                    source.insert(at, source.substr(below(source.size()), below(60)));
                    break;
            }
        }
        auto parsed = ChatTemplate::parse(source, "<s>", "</s>");
        if (!parsed) {
            CHECK(parsed.error().message.starts_with("chat template:"));
            continue;
        }
        auto text = (*parsed)->render(messages, {tool}, true, 0);
        if (text) ++rendered;
    }
    CHECK(rendered > 100);
}
