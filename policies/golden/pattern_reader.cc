// Reading an expression into a tree, and writing the tree out as steps.
#include <memory>
#include <optional>

#include "policies/golden/pattern.h"

namespace sluice {

class PatternReader {
public:
    explicit PatternReader(std::string_view expression)
        : text_(code_points(expression, expression_max + 1)) {}

    Result<Pattern> read(bool ignore_case) {
        if (text_.size() > expression_max) fail("longer than 1,000 signs");
        Node whole = either();
        if (fault_.empty() && at_ < text_.size()) fail("')' without '('");
        Pattern out;
        out.ignore_case_ = ignore_case;
        if (fault_.empty()) write(whole, out.steps_);
        if (!fault_.empty()) return Error(Errc::bad_config, fault_);
        out.steps_.emplace_back();  // match
        return out;
    }

private:
    using Op = Pattern::Op;
    using Step = Pattern::Step;
    enum class Kind { step, row, either, repeat };
    struct Node {
        Kind kind = Kind::row;
        Step step;
        std::vector<Node> parts;
        int low = 0, high = -1;  // repeat; -1 = without end
    };
    static constexpr std::size_t expression_max = 1'000;
    static constexpr int depth_max = 50;
    static constexpr int repeats_max = 1'000;

    void fail(const std::string& what) {
        if (fault_.empty()) fault_ = what + " (at sign " + std::to_string(at_ + 1) + ")";
    }
    bool more() const { return fault_.empty() && at_ < text_.size(); }
    bool take(char32_t wanted) {
        if (!more() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    Node either() {
        Node out;
        out.kind = Kind::either;
        if (++depth_ > depth_max) fail("nested deeper than 50");
        if (fault_.empty()) out.parts.push_back(row());
        while (take('|')) out.parts.push_back(row());
        --depth_;
        return out;
    }

    Node row() {
        Node out;
        while (more() && text_[at_] != '|' && text_[at_] != ')')
            out.parts.push_back(repeated(atom()));
        return out;
    }

    Node repeated(Node what) {
        std::optional<std::pair<int, int>> times = repeat_sign();
        if (!times) return what;
        Node out;
        out.kind = Kind::repeat;
        out.low = times->first;
        out.high = times->second;
        out.parts.push_back(std::move(what));
        take('?');  // lazy or not: whether it matches is the same
        if (more() && (text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?'))
            fail("a repeat of a repeat: put the first one in ( )");
        return out;
    }

    std::optional<std::pair<int, int>> repeat_sign() {
        if (take('*')) return std::pair(0, -1);
        if (take('+')) return std::pair(1, -1);
        if (take('?')) return std::pair(0, 1);
        if (!take('{')) return {};
        int low = number();
        int high = low;
        if (take(',')) high = more() && text_[at_] == '}' ? -1 : number();
        if (!take('}')) fail("expected {n}, {n,} or {n,m}; write \\{ for the sign itself");
        if (high >= 0 && high < low) fail("a repeat's second number is below its first");
        return std::pair(low, high);
    }

    int number() {
        int value = -1;
        while (more() && text_[at_] >= '0' && text_[at_] <= '9' && value <= repeats_max)
            value = std::max(value, 0) * 10 + static_cast<int>(text_[at_++] - '0');
        if (value < 0 || value > repeats_max) fail("expected a number of 0 to 1,000 in { }");
        return std::max(value, 0);
    }

    static Node of(Op op) {
        Node out;
        out.kind = Kind::step;
        out.step.op = op;
        return out;
    }
    static Node of(Pattern::Ranges ranges, bool negated) {
        Node out = of(Op::set);
        out.step.ranges = std::move(ranges);
        out.step.negated = negated;
        return out;
    }

    Node atom() {
        char32_t sign = text_[at_++];
        switch (sign) {
            case '(':
                return group();
            case '[':
                return sign_class();
            case '.':
                return of({{'\n', '\n'}}, true);
            case '^':
                return of(Op::begin);
            case '$':
                return of(Op::end);
            case '\\':
                return escaped();
            case '*':
            case '+':
            case '?':
            case '{':
                --at_;
                fail("nothing to repeat");
                return {};
        }
        return of({{sign, sign}}, false);
    }

    Node group() {
        if (take('?') && !take(':'))
            fail("only (?: is known after '(': look-around and flags are not");
        Node out = either();
        if (!take(')')) fail("'(' without ')'");
        return out;
    }

    static bool named_class(char32_t sign, Pattern::Ranges& ranges) {
        if (sign == 'd') ranges = {{'0', '9'}};
        if (sign == 'w') ranges = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
        if (sign == 's') ranges = {{' ', ' '}, {'\t', '\r'}};
        return sign == 'd' || sign == 'w' || sign == 's';
    }

    char32_t plain_escape(char32_t sign) {
        if (sign == 'n') return '\n';
        if (sign == 't') return '\t';
        if (sign == 'r') return '\r';
        bool letter = (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z');
        if (letter || (sign >= '0' && sign <= '9'))
            fail(std::string("\\") + static_cast<char>(sign) + " is not known here");
        return sign;
    }

    Node escaped() {
        if (!more()) {
            fail("'\\' at the end");
            return {};
        }
        char32_t sign = text_[at_++];
        Pattern::Ranges ranges;
        if (named_class(sign, ranges)) return of(ranges, false);
        if (sign < 128 && named_class(sign + 32, ranges)) return of(ranges, true);
        if (sign == 'b') return of(Op::word_edge);
        if (sign == 'B') return of(Op::no_word_edge);
        char32_t itself = plain_escape(sign);
        return of({{itself, itself}}, false);
    }

    Node sign_class() {
        bool negated = take('^');
        Pattern::Ranges ranges;
        bool first = true;
        while (more() && (first || text_[at_] != ']')) {
            first = false;
            Pattern::Ranges named;
            char32_t low = class_sign(named);
            if (!named.empty()) {
                ranges.insert(ranges.end(), named.begin(), named.end());
                continue;
            }
            char32_t high = low;
            if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
                ++at_;
                high = class_sign(named);
                if (!named.empty()) fail("a range needs a sign at both ends");
            }
            if (high < low) fail("a range that ends before it begins");
            ranges.emplace_back(low, high);
        }
        if (!take(']')) fail("'[' without ']'");
        return of(std::move(ranges), negated);
    }

    char32_t class_sign(Pattern::Ranges& named) {
        char32_t sign = text_[at_++];
        if (sign != '\\' || !more()) return sign;
        sign = text_[at_++];
        if (named_class(sign, named)) return sign;
        return plain_escape(sign);
    }

    bool room(const std::vector<Step>& steps) {
        if (steps.size() >= Pattern::program_max && fault_.empty())
            fault_ = "too large: its repeats come to more than 2,000 steps";
        return fault_.empty();
    }

    void write(const Node& node, std::vector<Step>& steps) {
        if (!room(steps)) return;
        switch (node.kind) {
            case Kind::step:
                steps.push_back(node.step);
                return;
            case Kind::row:
                for (const Node& part : node.parts) write(part, steps);
                return;
            case Kind::either:
                write_either(node, steps);
                return;
            case Kind::repeat:
                write_repeat(node, steps);
                return;
        }
    }

    static std::size_t add(std::vector<Step>& steps, Op op) {
        steps.emplace_back().op = op;
        return steps.size() - 1;
    }

    void write_either(const Node& node, std::vector<Step>& steps) {
        std::vector<std::size_t> leaving;
        for (std::size_t i = 0; i + 1 < node.parts.size(); ++i) {
            std::size_t split = add(steps, Op::split);
            steps[split].to = steps.size();
            write(node.parts[i], steps);
            leaving.push_back(add(steps, Op::jump));
            steps[split].or_else = steps.size();
        }
        write(node.parts.back(), steps);
        for (std::size_t jump : leaving) steps[jump].to = steps.size();
    }

    void write_repeat(const Node& node, std::vector<Step>& steps) {
        const Node& what = node.parts[0];
        for (int i = 0; i < node.low && room(steps); ++i) write(what, steps);
        if (node.high < 0) {
            std::size_t split = add(steps, Op::split);
            steps[split].to = steps.size();
            write(what, steps);
            steps[add(steps, Op::jump)].to = split;
            steps[split].or_else = steps.size();
            return;
        }
        std::vector<std::size_t> splits;
        for (int i = node.low; i < node.high && room(steps); ++i) {
            splits.push_back(add(steps, Op::split));
            steps[splits.back()].to = steps.size();
            write(what, steps);
        }
        for (std::size_t split : splits) steps[split].or_else = steps.size();
    }

    std::u32string text_;
    std::size_t at_ = 0;
    int depth_ = 0;
    std::string fault_;
};

Result<Pattern> Pattern::compile(std::string_view expression, bool ignore_case) {
    return PatternReader(expression).read(ignore_case);
}

}  // namespace sluice
