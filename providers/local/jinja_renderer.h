// The two halves of the evaluator: expressions and, above them, statements.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "providers/local/jinja_eval.h"

namespace sluice::jinja {

// Names to values, innermost scope last. A macro sees its own scopes and the outermost one.
class Scopes {
public:
    explicit Scopes(Variables outermost) { frames_.push_back({std::move(outermost), false}); }
    void push(bool closed) { frames_.push_back({{}, closed}); }
    void pop() { frames_.pop_back(); }
    void set(const std::string& name, Value value);
    const Value* find(std::string_view name) const;

private:
    struct Frame {
        Variables variables;
        bool closed = false;  // a macro's: what is between it and the outermost is not seen
    };
    std::vector<Frame> frames_;
};

class Evaluator {
public:
    Evaluator(Variables variables, std::uint64_t budget, std::int64_t now_unix_s)
        : context_(budget), scopes_(std::move(variables)), now_unix_s_(now_unix_s) {}
    virtual ~Evaluator();
    Evaluator(const Evaluator&) = delete;
    Evaluator& operator=(const Evaluator&) = delete;

    Value evaluate(const Expression& expression);

protected:
    virtual Value call_macro(const MacroStatement& macro, const Arguments& arguments) = 0;

    // Counts one level of the stack while it lives; false when there are too many.
    class Level {
    public:
        Level(Evaluator& evaluator, Position at);
        ~Level();
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;
        explicit operator bool() const { return !evaluator_.context_.failed(); }

    private:
        Evaluator& evaluator_;
        Position before_;
    };

    Context context_;
    Scopes scopes_;

private:
    Value dispatch(const Expression& expression);
    Value name(const Expression& expression);
    Value mapping(const Expression& expression);
    Value arithmetic(const Expression& expression);
    Value integers(std::string_view how, std::int64_t a, std::int64_t b);
    Value reals(std::string_view how, double a, double b);
    Value repeated(const Text& text, std::int64_t times);
    Value concat(const Expression& expression);
    Value compare(const Expression& expression);
    bool holds(std::string_view how, const Value& left, const Value& right);
    Value attribute(const Value& of, const std::string& name);
    Value loop_attribute(const Loop& loop, std::string_view name);
    Value item(const Value& of, const Value& key);
    Value slice(const Expression& expression);
    Value call(const Expression& expression);
    Value call_function(std::string_view name, const Arguments& arguments);
    Value call_loop(Loop& loop, std::string_view name, const Arguments& arguments);
    Value range(const Arguments& arguments);
    Value strftime_now(const Arguments& arguments);
    Value make_namespace(const Arguments& arguments);
    Arguments arguments(const Expression& expression);
    bool test(const Expression& expression);

    std::int64_t now_unix_s_;
    int levels_ = 0;
    std::vector<std::shared_ptr<Namespace>> namespaces_;  // emptied at the end: they may be cyclic
};

}  // namespace sluice::jinja
