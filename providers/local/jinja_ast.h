// A parsed template. Immutable after parsing: any thread. Depth is limited by the parser, so
// walking and destroying it by recursion is safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "providers/local/jinja_lexer.h"
#include "providers/local/jinja_value.h"

namespace sluice::jinja {

struct Filter;
struct Test;
struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Expression {
    enum class Kind {
        constant,     // value
        name,         // text
        list,         // children
        mapping,      // children: key, value, key, value, ...
        negate,       // -a
        plus,         // +a
        logical_not,  // not a
        logical_and,
        logical_or,
        arithmetic,   // a text b
        concat,       // a ~ b
        compare,      // children[0] names[0] children[1] names[1] children[2] ...
        conditional,  // children: then, condition, else (may be null)
        attribute,    // a.text
        item,         // a[b]
        slice,        // a[b:c:d], parts may be null
        call,         // children: function, arguments; names: of the last arguments
        filter,       // children: input, arguments; names as above
        test,         // children: input, arguments; names as above
    };
    Kind kind = Kind::constant;
    Position at;
    int depth = 1;
    std::string text;
    Value value;
    std::vector<ExpressionPtr> children;
    std::vector<std::string> names;
    const Filter* filter = nullptr;
    const Test* test = nullptr;
    bool negated = false;  // test: is not
};

// What `set` and `for` assign to: one name, several, or an attribute of a namespace.
struct Target {
    std::vector<std::string> names;
    std::string attribute;
};

struct Branch {
    ExpressionPtr condition;  // null: else
    Body body;
};

struct Statement {
    enum class Kind { text, print, choose, loop, assign, assign_block, macro, block, stop, skip };
    explicit Statement(Kind kind_in, Position at_in) : kind(kind_in), at(at_in) {}
    virtual ~Statement() = default;
    Kind kind;  // block: a body without meaning of its own; stop: break; skip: continue
    Position at;
    Value text;
    ExpressionPtr value;           // print, assign: what; loop: over what
    Target target;                 // loop, assign, assign_block
    ExpressionPtr condition;       // loop: for ... if
    std::vector<Branch> branches;  // choose
    Body body;                     // loop, assign_block, macro, block
    Body otherwise;                // loop: when there was nothing to go over
};

struct MacroStatement : Statement {
    explicit MacroStatement(Position at_in) : Statement(Kind::macro, at_in) {}
    std::string name;
    std::vector<std::string> parameters;
    std::vector<ExpressionPtr> defaults;  // of the last parameters
};

}  // namespace sluice::jinja
