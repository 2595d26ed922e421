#include <algorithm>
#include <initializer_list>

#include "providers/local/jinja_parser.h"
#include "providers/local/jinja_parser_state.h"

namespace sluice::jinja {

using Kind = Expression::Kind;

bool ExpressionParser::at_mark(std::string_view mark) const {
    return current().kind == Lexeme::Kind::mark && current().text == mark;
}

bool ExpressionParser::at_name(std::string_view name) const {
    return current().kind == Lexeme::Kind::name && current().text == name;
}

bool ExpressionParser::take_mark(std::string_view mark) {
    if (fault_ || !at_mark(mark)) return false;
    step();
    return true;
}

bool ExpressionParser::take_name(std::string_view name) {
    if (fault_ || !at_name(name)) return false;
    step();
    return true;
}

std::string ExpressionParser::found() const {
    switch (current().kind) {
        case Lexeme::Kind::data:
            return "text";
        case Lexeme::Kind::print_begin:
            return "'{{'";
        case Lexeme::Kind::print_end:
            return "'}}'";
        case Lexeme::Kind::block_begin:
            return "'{%'";
        case Lexeme::Kind::block_end:
            return "'%}'";
        case Lexeme::Kind::string:
            return "a string";
        case Lexeme::Kind::end:
            return "the end of the template";
        case Lexeme::Kind::name:
        case Lexeme::Kind::integer:
        case Lexeme::Kind::real:
        case Lexeme::Kind::mark:
            break;
    }
    return "'" + current().text + "'";
}

void ExpressionParser::fail(Position at, const std::string& message) {
    if (!fault_) fault_ = template_fault(at, message);
}

void ExpressionParser::expect_mark(std::string_view mark) {
    if (!take_mark(mark)) fail("expected '" + std::string(mark) + "', found " + found());
}

void ExpressionParser::expect_kind(Lexeme::Kind kind, const std::string& what) {
    if (!at_kind(kind)) return fail("expected " + what + ", found " + found());
    step();
}

std::string ExpressionParser::expect_name(const std::string& what) {
    std::string name = current().text;
    expect_kind(Lexeme::Kind::name, what);
    return name;
}

ExpressionParser::Level::Level(ExpressionParser& parser) : parser_(parser) {
    if (++parser_.nesting_ > nesting_max) {
        parser_.fail("nested deeper than " + std::to_string(nesting_max) + " levels");
    }
}

void ExpressionParser::add_child(Expression& parent, ExpressionPtr child) {
    if (child) parent.depth = std::max(parent.depth, child->depth + 1);
    parent.children.push_back(std::move(child));
    if (parent.depth > nesting_max) {
        fail(parent.at, "expression of more than " + std::to_string(nesting_max) + " levels");
    }
}

ExpressionPtr ExpressionParser::make(Kind kind, Position at, ExpressionPtr a, ExpressionPtr b,
                                     ExpressionPtr c) {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->at = at;
    for (ExpressionPtr* child : {&a, &b, &c}) {
        if (*child) add_child(*node, std::move(*child));
    }
    return node;
}

ExpressionPtr ExpressionParser::plain_expression() { return disjunction(); }

ExpressionPtr ExpressionParser::expression() {
    const Level level(*this);
    if (fault_) return nullptr;
    ExpressionPtr node = disjunction();
    while (!fault_ && at_name("if")) {
        const Position at = current().at;
        step();
        ExpressionPtr condition = disjunction();
        ExpressionPtr otherwise = take_name("else") ? expression() : nullptr;
        node = make(Kind::conditional, at, std::move(node), std::move(condition),
                    std::move(otherwise));
    }
    return node;
}

ExpressionPtr ExpressionParser::expression_list(bool plain) {
    const Position at = current().at;
    ExpressionPtr first = plain ? plain_expression() : expression();
    if (fault_ || !at_mark(",")) return first;
    ExpressionPtr list = make(Kind::list, at, std::move(first));
    while (take_mark(",")) {
        if (at_kind(Lexeme::Kind::block_end) || at_kind(Lexeme::Kind::print_end) || at_mark(")")) {
            break;
        }
        add_child(*list, plain ? plain_expression() : expression());
    }
    return list;
}

ExpressionPtr ExpressionParser::disjunction() {
    ExpressionPtr node = conjunction();
    while (!fault_ && at_name("or")) {
        const Position at = current().at;
        step();
        ExpressionPtr right = conjunction();
        node = make(Kind::logical_or, at, std::move(node), std::move(right));
    }
    return node;
}

ExpressionPtr ExpressionParser::conjunction() {
    ExpressionPtr node = negation();
    while (!fault_ && at_name("and")) {
        const Position at = current().at;
        step();
        ExpressionPtr right = negation();
        node = make(Kind::logical_and, at, std::move(node), std::move(right));
    }
    return node;
}

ExpressionPtr ExpressionParser::negation() {
    if (fault_ || !at_name("not")) return comparison();
    const Level level(*this);
    const Position at = current().at;
    step();
    return make(Kind::logical_not, at, fault_ ? nullptr : negation());
}

ExpressionPtr ExpressionParser::comparison() {
    ExpressionPtr node = sum();
    ExpressionPtr compare;
    while (!fault_) {
        std::string how;
        const Position at = current().at;
        for (const std::string_view mark : {"==", "!=", "<=", ">=", "<", ">"}) {
            if (at_mark(mark)) how = mark;
        }
        if (how.empty() && at_name("in")) how = "in";
        if (how.empty() && at_name("not") && ahead().kind == Lexeme::Kind::name &&
            ahead().text == "in") {
            step();
            how = "not in";
        }
        if (how.empty()) break;
        step();
        if (!compare) compare = make(Kind::compare, at, std::move(node));
        compare->names.push_back(how);
        add_child(*compare, sum());
    }
    return compare ? std::move(compare) : std::move(node);
}

ExpressionPtr ExpressionParser::chain(Rule operand, std::initializer_list<std::string_view> marks,
                                      Kind kind) {
    ExpressionPtr node = (this->*operand)();
    while (!fault_ && at_kind(Lexeme::Kind::mark) &&
           std::find(marks.begin(), marks.end(), current().text) != marks.end()) {
        const Position at = current().at;
        const std::string how = current().text;
        step();
        ExpressionPtr right = (this->*operand)();
        node = make(kind, at, std::move(node), std::move(right));
        node->text = how;
    }
    return node;
}

ExpressionPtr ExpressionParser::sum() {
    return chain(&ExpressionParser::concatenation, {"+", "-"}, Kind::arithmetic);
}

ExpressionPtr ExpressionParser::concatenation() {
    return chain(&ExpressionParser::product, {"~"}, Kind::concat);
}

ExpressionPtr ExpressionParser::product() {
    return chain(&ExpressionParser::power, {"*", "/", "//", "%"}, Kind::arithmetic);
}

ExpressionPtr ExpressionParser::power() {
    return chain(&ExpressionParser::unary, {"**"}, Kind::arithmetic);
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
    const Level level(*this);
    if (fault_) return nullptr;
    const Position at = current().at;
    ExpressionPtr node;
    if (take_mark("-")) {
        node = make(Kind::negate, at, unary(false));
    } else if (take_mark("+")) {
        node = make(Kind::plus, at, unary(false));
    } else {
        node = postfix(primary());
    }
    return with_filters ? filters(std::move(node)) : std::move(node);
}

}  // namespace sluice::jinja
