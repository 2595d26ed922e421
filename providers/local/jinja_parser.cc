#include "providers/local/jinja_parser.h"

#include <algorithm>

#include "providers/local/jinja_parser_state.h"

namespace sluice::jinja {

namespace {

using Kind = Statement::Kind;
using Ends = std::initializer_list<std::string_view>;

class Parser : public ExpressionParser {
public:
    using ExpressionParser::ExpressionParser;

    Result<Body> run() {
        Body body = statements({}, "", Position());
        if (fault_) return *std::move(fault_);
        return body;
    }

private:
    static std::unique_ptr<Statement> make(Kind kind, Position at) {
        return std::make_unique<Statement>(kind, at);
    }
    Body statements(Ends ends, std::string_view opener, Position opened);
    std::unique_ptr<Statement> tag();
    std::unique_ptr<Statement> choose(Position at);
    std::unique_ptr<Statement> loop(Position at);
    std::unique_ptr<Statement> assign(Position at);
    std::unique_ptr<Statement> macro(Position at);
    Target target();
    void end_tag() { expect_kind(Lexeme::Kind::block_end, "'%}'"); }

    int loops_ = 0;  // for statements around, within the same macro
};

// Up to a tag named in `ends`, whose name is then the current lexeme; without any, to the end.
Body Parser::statements(Ends ends, std::string_view opener, Position opened) {
    Body body;
    const Level level(*this);
    while (!fault_) {
        const Position at = current().at;
        if (at_kind(Lexeme::Kind::data)) {
            auto text = make(Kind::text, at);
            text->text = Value::text(current().text, true);
            step();
            body.push_back(std::move(text));
        } else if (at_kind(Lexeme::Kind::print_begin)) {
            step();
            auto print = make(Kind::print, at);
            print->value = expression_list(false);
            if (!fault_) expect_kind(Lexeme::Kind::print_end, "'}}'");
            body.push_back(std::move(print));
        } else if (at_kind(Lexeme::Kind::block_begin)) {
            step();
            if (at_kind(Lexeme::Kind::name) &&
                std::find(ends.begin(), ends.end(), current().text) != ends.end()) {
                return body;
            }
            if (auto statement = tag()) body.push_back(std::move(statement));
        } else if (ends.size() == 0) {
            return body;
        } else {
            fail(opened, "'" + std::string(opener) + "' has no 'end" + std::string(opener) + "'");
        }
    }
    return body;
}

std::unique_ptr<Statement> Parser::tag() {
    const Position at = current().at;
    const std::string name = expect_name("the name of a tag");
    if (fault_) return nullptr;
    if (name == "if") return choose(at);
    if (name == "for") return loop(at);
    if (name == "set") return assign(at);
    if (name == "macro") return macro(at);
    if (name == "break" || name == "continue") {
        if (loops_ == 0) fail(at, "'" + name + "' outside of a 'for'");
        end_tag();
        return make(name == "break" ? Kind::stop : Kind::skip, at);
    }
    if (name == "generation") {  // marks what the assistant says, for training; no meaning here
        auto block = make(Kind::block, at);
        end_tag();
        block->body = statements({"endgeneration"}, "generation", at);
        step();
        end_tag();
        return block;
    }
    fail(at, "unknown tag '" + name +
                 "'; known: if, for, set, macro, break, continue, generation, raw");
    return nullptr;
}

std::unique_ptr<Statement> Parser::choose(Position at) {
    auto choice = make(Kind::choose, at);
    Branch branch;
    branch.condition = plain_expression();
    end_tag();
    while (!fault_) {
        branch.body = branch.condition ? statements({"elif", "else", "endif"}, "if", at)
                                       : statements({"endif"}, "if", at);
        choice->branches.push_back(std::move(branch));
        branch = Branch();
        if (fault_) break;
        const std::string name = current().text;
        step();
        if (name == "elif") branch.condition = plain_expression();
        if (!fault_) end_tag();
        if (name == "endif") break;
    }
    return choice;
}

Target Parser::target() {
    Target target;
    const bool bracket = take_mark("(");
    do {
        const std::string name = expect_name("a name to assign to");
        for (const std::string_view taken : {"true", "false", "none", "True", "False", "None"}) {
            if (name == taken) fail("'" + name + "' cannot be assigned to");
        }
        target.names.push_back(name);
    } while (take_mark(","));
    if (bracket) expect_mark(")");
    if (target.names.size() == 1 && take_mark(".")) {
        target.attribute = expect_name("the name of an attribute");
    }
    return target;
}

std::unique_ptr<Statement> Parser::loop(Position at) {
    auto loop = make(Kind::loop, at);
    loop->target = target();
    if (!loop->target.attribute.empty()) fail("'for' cannot assign to an attribute");
    if (!fault_ && !take_name("in")) fail("expected 'in', found " + found());
    if (!fault_) loop->value = expression_list(true);
    if (take_name("if")) loop->condition = expression();
    if (at_name("recursive")) fail("'recursive' loops are not supported");
    if (!fault_) end_tag();
    ++loops_;
    loop->body = statements({"else", "endfor"}, "for", at);
    --loops_;
    if (take_name("else")) {
        end_tag();
        loop->otherwise = statements({"endfor"}, "for", at);
    }
    if (!fault_) step();
    if (!fault_) end_tag();
    return loop;
}

std::unique_ptr<Statement> Parser::assign(Position at) {
    auto statement = make(Kind::assign, at);
    statement->target = target();
    if (take_mark("=")) {
        statement->value = expression_list(false);
        if (!fault_) end_tag();
        return statement;
    }
    if (at_mark("|")) fail("a filter in a 'set' block is not supported");
    if (!fault_) end_tag();
    statement->kind = Kind::assign_block;
    statement->body = statements({"endset"}, "set", at);
    if (!fault_) step();
    if (!fault_) end_tag();
    return statement;
}

std::unique_ptr<Statement> Parser::macro(Position at) {
    auto macro = std::make_unique<MacroStatement>(at);
    macro->name = expect_name("the name of the macro");
    if (!fault_) expect_mark("(");
    while (!fault_ && !take_mark(")")) {
        macro->parameters.push_back(expect_name("the name of a parameter"));
        if (take_mark("=")) {
            macro->defaults.push_back(expression());
        } else if (!macro->defaults.empty()) {
            fail("a parameter without a default follows one with a default");
        }
        if (!fault_ && !at_mark(")")) expect_mark(",");
    }
    if (!fault_) end_tag();
    const int loops = std::exchange(loops_, 0);
    macro->body = statements({"endmacro"}, "macro", at);
    loops_ = loops;
    if (!fault_) step();
    if (at_kind(Lexeme::Kind::name)) step();  // {% endmacro name %}
    if (!fault_) end_tag();
    return macro;
}

}  // namespace

Result<Body> parse(std::string_view source) {
    auto lexemes = read_lexemes(source);
    if (!lexemes) return std::move(lexemes).error();
    return Parser(*std::move(lexemes)).run();
}

}  // namespace sluice::jinja
