// The operands of expressions: literals, names, what is appended to them, filters and tests.
#include "providers/local/jinja_filters.h"
#include "providers/local/jinja_parser_state.h"
#include "providers/local/jinja_tests.h"

namespace sluice::jinja {

using Kind = Expression::Kind;

ExpressionPtr ExpressionParser::string_literal() {
    ExpressionPtr node = make(Kind::constant, current().at);
    std::string text;
    for (; at_kind(Lexeme::Kind::string); step()) text += current().text;
    node->value = Value::text(text, true);
    return node;
}

ExpressionPtr ExpressionParser::primary() {
    if (fault_) return nullptr;
    const Lexeme& lexeme = current();
    if (lexeme.kind == Lexeme::Kind::string) return string_literal();
    if (take_mark("(")) {
        if (take_mark(")")) return make(Kind::list, lexeme.at);
        ExpressionPtr inner = expression_list(false);
        expect_mark(")");
        return inner;
    }
    if (at_mark("[")) return list_literal();
    if (at_mark("{")) return mapping_literal();
    ExpressionPtr node = make(Kind::constant, lexeme.at);
    if (lexeme.kind == Lexeme::Kind::integer) {
        node->value = Value::integer(lexeme.integer);
    } else if (lexeme.kind == Lexeme::Kind::real) {
        node->value = Value::real(lexeme.real);
    } else if (lexeme.kind != Lexeme::Kind::name) {
        fail("expected a value, found " + found());
    } else if (lexeme.text == "true" || lexeme.text == "True") {
        node->value = Value::boolean(true);
    } else if (lexeme.text == "false" || lexeme.text == "False") {
        node->value = Value::boolean(false);
    } else if (lexeme.text == "none" || lexeme.text == "None") {
        node->value = Value::none();
    } else {
        node->kind = Kind::name;
        node->text = lexeme.text;
    }
    step();
    return node;
}

ExpressionPtr ExpressionParser::list_literal() {
    ExpressionPtr node = make(Kind::list, current().at);
    expect_mark("[");
    while (!fault_ && !take_mark("]")) {
        add_child(*node, expression());
        if (!at_mark("]")) expect_mark(",");
    }
    return node;
}

ExpressionPtr ExpressionParser::mapping_literal() {
    ExpressionPtr node = make(Kind::mapping, current().at);
    expect_mark("{");
    while (!fault_ && !take_mark("}")) {
        add_child(*node, expression());
        expect_mark(":");
        add_child(*node, expression());
        if (!at_mark("}")) expect_mark(",");
    }
    return node;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
    while (!fault_) {
        const Position at = current().at;
        if (take_mark(".")) {
            if (at_kind(Lexeme::Kind::integer)) {
                ExpressionPtr index = make(Kind::constant, at);
                index->value = Value::integer(current().integer);
                step();
                node = make(Kind::item, at, std::move(node), std::move(index));
            } else {
                node = make(Kind::attribute, at, std::move(node));
                node->text = expect_name("the name of an attribute");
            }
        } else if (at_mark("[")) {
            node = subscript(std::move(node));
        } else if (at_mark("(")) {
            node = make(Kind::call, at, std::move(node));
            arguments(*node);
        } else {
            break;
        }
    }
    return node;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
    const Position at = current().at;
    expect_mark("[");
    ExpressionPtr first = at_mark(":") ? nullptr : expression();
    if (!at_mark(":")) {
        expect_mark("]");
        return make(Kind::item, at, std::move(node), std::move(first));
    }
    ExpressionPtr slice = make(Kind::slice, at, std::move(node));
    add_child(*slice, std::move(first));
    for (int part = 0; part < 2; ++part) {
        const bool given = take_mark(":") && !at_mark(":") && !at_mark("]");
        add_child(*slice, given ? expression() : nullptr);
    }
    expect_mark("]");
    return slice;
}

void ExpressionParser::arguments(Expression& call) {
    expect_mark("(");
    while (!fault_ && !take_mark(")")) {
        if (at_mark("*") || at_mark("**")) {
            return fail("'" + current().text + "' before an argument is not supported");
        }
        if (at_kind(Lexeme::Kind::name) && ahead().kind == Lexeme::Kind::mark &&
            ahead().text == "=") {
            call.names.push_back(current().text);
            step();
            step();
        } else if (!call.names.empty()) {
            return fail("an argument without a name follows one with a name");
        }
        add_child(call, expression());
        if (!at_mark(")")) expect_mark(",");
    }
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr node) {
    while (!fault_) {
        if (at_mark("|")) {
            node = filter(std::move(node));
        } else if (at_name("is")) {
            node = test(std::move(node));
        } else if (at_mark("(")) {
            node = make(Kind::call, current().at, std::move(node));
            arguments(*node);
        } else {
            break;
        }
    }
    return node;
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr node) {
    expect_mark("|");
    ExpressionPtr applied = make(Kind::filter, current().at, std::move(node));
    applied->text = expect_name("the name of a filter");
    applied->filter = find_filter(applied->text);
    if (applied->filter == nullptr) {
        fail(applied->at, "unknown filter '" + applied->text + "'; known: " + filter_names());
    }
    if (!fault_ && at_mark("(")) arguments(*applied);
    return applied;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr node) {
    step();  // is
    ExpressionPtr asked = make(Kind::test, current().at, std::move(node));
    asked->negated = take_name("not");
    asked->at = current().at;
    asked->text = expect_name("the name of a test");
    asked->test = find_test(asked->text);
    if (asked->test == nullptr) {
        fail(asked->at, "unknown test '" + asked->text + "'; known: " + test_names());
    }
    if (fault_) return asked;
    const bool operand_follows =
        (at_kind(Lexeme::Kind::name) && !at_name("else") && !at_name("or") && !at_name("and") &&
         !at_name("if") && !at_name("is") && !at_name("in") && !at_name("not")) ||
        at_kind(Lexeme::Kind::string) || at_kind(Lexeme::Kind::integer) ||
        at_kind(Lexeme::Kind::real) || at_mark("[") || at_mark("{");
    if (at_mark("(")) {
        arguments(*asked);
    } else if (operand_follows) {
        add_child(*asked, postfix(primary()));
    }
    return asked;
}

}  // namespace sluice::jinja
