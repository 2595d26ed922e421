#include "providers/local/jinja_eval.h"

#include "providers/local/jinja_renderer.h"

namespace sluice::jinja {

namespace {

using Kind = Statement::Kind;

class Renderer : public Evaluator {
public:
    using Evaluator::Evaluator;

    Result<Text> run(const Body& body) {
        run_all(body);
        if (context_.failed()) return context_.take_fault();
        return std::move(out_);
    }

private:
    enum class Flow { on, stop, skip };  // stop: break; skip: continue

    Flow run_all(const Body& body);
    Flow run_one(const Statement& statement);
    Flow choose(const Statement& statement);
    Flow loop(const Statement& statement);
    void assign(const Target& target, Value value);
    void print(const Value& value);
    void define(const MacroStatement& macro);
    Value call_macro(const MacroStatement& macro, const Arguments& arguments) override;
    Text captured(const Body& body);

    Text out_;
};

Renderer::Flow Renderer::run_all(const Body& body) {
    for (const auto& statement : body) {
        const Level level(*this, statement->at);
        if (!level) return Flow::stop;
        const Flow flow = run_one(*statement);
        if (flow != Flow::on) return flow;
    }
    return Flow::on;
}

Renderer::Flow Renderer::run_one(const Statement& statement) {
    switch (statement.kind) {
        case Kind::text:
            print(statement.text);
            break;
        case Kind::print:
            print(evaluate(*statement.value));
            break;
        case Kind::choose:
            return choose(statement);
        case Kind::loop:
            return loop(statement);
        case Kind::assign:
            assign(statement.target, evaluate(*statement.value));
            break;
        case Kind::assign_block:
            assign(statement.target, Value::text(captured(statement.body)));
            break;
        case Kind::macro:
            define(static_cast<const MacroStatement&>(statement));
            break;
        case Kind::block:
            return run_all(statement.body);
        case Kind::stop:
            return Flow::stop;
        case Kind::skip:
            return Flow::skip;
    }
    return Flow::on;
}

void Renderer::print(const Value& value) {
    if (context_.failed()) return;
    if (const Text* text = value.as_text()) {
        if (context_.spend(text->size())) out_.append(*text);
    } else {
        out_.append(context_.printed(value));
    }
}

Renderer::Flow Renderer::choose(const Statement& statement) {
    for (const Branch& branch : statement.branches) {
        if (branch.condition && !evaluate(*branch.condition).truthy()) continue;
        return context_.failed() ? Flow::stop : run_all(branch.body);
    }
    return Flow::on;
}

Renderer::Flow Renderer::loop(const Statement& statement) {
    std::vector<Value> items = context_.items_of(evaluate(*statement.value));
    if (statement.condition) {
        std::vector<Value> kept;
        for (Value& item : items) {
            scopes_.push(false);
            assign(statement.target, item);
            const bool keep = evaluate(*statement.condition).truthy();
            scopes_.pop();
            if (context_.failed()) return Flow::stop;
            if (keep) kept.push_back(std::move(item));
        }
        items = std::move(kept);
    }
    if (context_.failed()) return Flow::stop;
    if (items.empty()) return run_all(statement.otherwise);
    const Value list = context_.list(std::move(items));
    if (list.as_list() == nullptr) return Flow::stop;
    auto loop = std::make_shared<Loop>();
    loop->items = std::get<std::shared_ptr<const List>>(list.any());
    for (std::size_t i = 0; i < loop->items->items.size() && !context_.failed(); ++i) {
        loop->index0 = i;
        scopes_.push(false);
        scopes_.set("loop", Value(Value::Any(loop)));
        assign(statement.target, loop->items->items[i]);
        const Flow flow = run_all(statement.body);
        scopes_.pop();
        if (flow == Flow::stop) break;
    }
    return context_.failed() ? Flow::stop : Flow::on;
}

void Renderer::assign(const Target& target, Value value) {
    if (context_.failed()) return;
    if (!target.attribute.empty()) {
        const Value* held = scopes_.find(target.names.front());
        Namespace* space = held == nullptr ? nullptr : held->as_namespace();
        if (space == nullptr) {
            context_.fail("'" + target.names.front() + "' is not a namespace, so '" +
                          target.attribute + "' cannot be set in it");
        } else if (value.depth() >= value_depth_max) {
            context_.fail("lists or mappings nested too deeply");
        } else {
            space->set(target.attribute, std::move(value));
        }
        return;
    }
    if (target.names.size() == 1) return scopes_.set(target.names.front(), std::move(value));
    const std::vector<Value> parts = context_.items_of(value);
    if (parts.size() != target.names.size()) {
        context_.fail(std::to_string(target.names.size()) + " names for " +
                      std::to_string(parts.size()) + " values");
        return;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) scopes_.set(target.names[i], parts[i]);
}

void Renderer::define(const MacroStatement& macro) {
    auto callable = std::make_shared<Callable>();
    callable->kind = Callable::Kind::macro;
    callable->name = macro.name;
    callable->macro = &macro;
    scopes_.set(macro.name,
                Value(Value::Any(std::shared_ptr<const Callable>(std::move(callable)))));
}

Text Renderer::captured(const Body& body) {
    Text before = std::exchange(out_, Text());
    run_all(body);
    return std::exchange(out_, std::move(before));
}

Value Renderer::call_macro(const MacroStatement& macro, const Arguments& arguments) {
    if (arguments.plain.size() > macro.parameters.size()) {
        return context_.fail("macro '" + macro.name + "' takes " +
                             std::to_string(macro.parameters.size()) + " arguments");
    }
    for (const auto& [given, value] : arguments.named) {
        bool known = false;
        for (const std::string& parameter : macro.parameters) known = known || parameter == given;
        if (!known) {
            return context_.fail("macro '" + macro.name + "' has no parameter '" + given + "'");
        }
    }
    scopes_.push(true);
    const std::size_t required = macro.parameters.size() - macro.defaults.size();
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
        const Value* given = arguments.find(i, macro.parameters[i]);
        if (given != nullptr) {
            scopes_.set(macro.parameters[i], *given);
        } else if (i >= required) {
            scopes_.set(macro.parameters[i], evaluate(*macro.defaults[i - required]));
        } else {
            scopes_.set(macro.parameters[i], Value::undefined(macro.parameters[i]));
        }
    }
    Text text = captured(macro.body);
    scopes_.pop();
    return Value::text(std::move(text));
}

}  // namespace

Result<Text> render(const Body& body, Variables variables, std::uint64_t budget,
                    std::int64_t now_unix_s) {
    Renderer renderer(std::move(variables), budget, now_unix_s);
    return renderer.run(body);
}

}  // namespace sluice::jinja
