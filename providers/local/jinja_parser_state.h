// The two halves of the parser: expressions and, above them, statements. The first fault stops
// both: after it every function returns at once and what it returns is not used.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "providers/local/jinja_ast.h"
#include "providers/local/jinja_lexer.h"

namespace sluice::jinja {

class ExpressionParser {
public:
    explicit ExpressionParser(std::vector<Lexeme> lexemes) : lexemes_(std::move(lexemes)) {}

    // a if b else c
    ExpressionPtr expression();
    // The same without a trailing if: what `for x in` and `if` take.
    ExpressionPtr plain_expression();
    // One expression, or a list of several separated by commas.
    ExpressionPtr expression_list(bool plain);

protected:
    const Lexeme& current() const { return lexemes_[at_]; }
    const Lexeme& ahead() const { return lexemes_[at_ + 1 < lexemes_.size() ? at_ + 1 : at_]; }
    bool at_mark(std::string_view mark) const;
    bool at_name(std::string_view name) const;
    bool at_kind(Lexeme::Kind kind) const { return current().kind == kind; }
    void step() {
        if (at_ + 1 < lexemes_.size()) ++at_;
    }
    bool take_mark(std::string_view mark);
    bool take_name(std::string_view name);
    void expect_mark(std::string_view mark);
    void expect_kind(Lexeme::Kind kind, const std::string& what);
    std::string expect_name(const std::string& what);
    void fail(const std::string& message) { fail(current().at, message); }
    void fail(Position at, const std::string& message);
    std::string found() const;  // the current lexeme, in words

    // Counts one level of nesting while it lives.
    class Level {
    public:
        explicit Level(ExpressionParser& parser);
        ~Level() { --parser_.nesting_; }
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;

    private:
        ExpressionParser& parser_;
    };

    std::optional<Error> fault_;

private:
    using Rule = ExpressionPtr (ExpressionParser::*)();
    ExpressionPtr chain(Rule operand, std::initializer_list<std::string_view> marks,
                        Expression::Kind kind);
    ExpressionPtr make(Expression::Kind kind, Position at, ExpressionPtr a = nullptr,
                       ExpressionPtr b = nullptr, ExpressionPtr c = nullptr);
    void add_child(Expression& parent, ExpressionPtr child);
    ExpressionPtr disjunction();
    ExpressionPtr conjunction();
    ExpressionPtr negation();
    ExpressionPtr comparison();
    ExpressionPtr sum();
    ExpressionPtr concatenation();
    ExpressionPtr product();
    ExpressionPtr power();
    ExpressionPtr unary() { return unary(true); }
    ExpressionPtr unary(bool with_filters);
    ExpressionPtr primary();
    ExpressionPtr postfix(ExpressionPtr node);
    ExpressionPtr subscript(ExpressionPtr node);
    ExpressionPtr filters(ExpressionPtr node);
    ExpressionPtr filter(ExpressionPtr node);
    ExpressionPtr test(ExpressionPtr node);
    ExpressionPtr list_literal();
    ExpressionPtr mapping_literal();
    ExpressionPtr string_literal();
    void arguments(Expression& call);

    std::vector<Lexeme> lexemes_;
    std::size_t at_ = 0;
    int nesting_ = 0;
};

}  // namespace sluice::jinja
