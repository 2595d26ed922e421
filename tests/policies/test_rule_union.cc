// Rules that several earlier ones take together, or that contradict themselves: what is said of
// them is held against every request of a small world.
#include "policies/rule_union.h"

#include <catch2/catch.hpp>
#include <random>

using namespace sluice;

namespace {

struct World {
    struct One {
        Caller caller;
        Labels labels;
        ChatRequest request;
    };
    std::vector<One> requests;

    World() {
        for (const char* team : {"a", "b", "c"})
            for (bool tools : {false, true})
                for (std::size_t turns = 0; turns < 4; ++turns)
                    for (const char* tag : {"", "p", "q"}) {
                        One& one = requests.emplace_back();
                        one.caller.team = team;
                        if (*tag != '\0') one.labels.tags["x"] = tag;
                        one.request.tools.resize(tools ? 1 : 0);
                        one.request.messages.resize(turns);
                        for (Message& message : one.request.messages) message.role = Role::user;
                    }
    }

    std::vector<bool> matched_by(const RuleMatch& match) const {
        std::vector<bool> out;
        const Difficulty easy;
        for (const One& one : requests) {
            Facts::Given given{one.caller, one.labels, one.request, easy};
            out.push_back(Facts(given).hold(match));
        }
        return out;
    }
};

class Rules {
public:
    explicit Rules(unsigned seed) : random_(seed) {}

    RuleMatch match(int depth = 0) {
        RuleMatch out;
        for (unsigned i = 0; i <= below(depth == 0 ? 3 : 2); ++i)
            out.all.push_back(condition(depth));
        return out;
    }

private:
    unsigned below(unsigned count) { return static_cast<unsigned>(random_() % count); }

    Condition condition(int depth) {
        Condition out;
        switch (below(depth < 2 ? 6 : 4)) {
            case 0:
                out.field = Field::team;
                out.words = words({"a", "b", "c"});
                break;
            case 1:
                out.field = Field::tag;
                out.name = "x";
                out.words = below(3) == 0 ? std::vector<std::string>{"*"} : words({"p", "q"});
                break;
            case 2:
                out.field = Field::tools;
                out.wanted = below(2) == 0;
                break;
            case 3:
                out.field = Field::turns;
                if (below(2) == 0) out.min = below(4);
                if (below(2) == 0) out.below = std::max(out.min, 0.0) + 1 + below(3);
                break;
            default:
                out.field = below(2) == 0 ? Field::any : Field::none;
                for (unsigned i = 0; i <= below(2); ++i) out.parts.push_back(match(depth + 1));
        }
        return out;
    }

    std::vector<std::string> words(std::vector<std::string> from) {
        std::vector<std::string> out;
        for (std::string& one : from)
            if (below(2) == 0) out.push_back(std::move(one));
        if (out.empty()) out.push_back(std::move(from.front()));
        return out;
    }

    std::mt19937 random_;
};

}  // namespace

TEST_CASE("no rule is said to be unreachable that a request reaches", "[policy]") {
    const World world;
    Rules rules(7);
    int together = 0, contradictions = 0;
    for (int round = 0; round < 3'000; ++round) {
        std::vector<RuleMatch> earlier;
        for (int i = 0; i < 4; ++i) earlier.push_back(rules.match());
        const RuleMatch later = rules.match();
        const std::vector<bool> matched = world.matched_by(later);
        std::int64_t left = 1'000'000;
        if (contradicts_itself(later, left)) {
            ++contradictions;
            CHECK(std::none_of(matched.begin(), matched.end(), [](bool one) { return one; }));
        }
        std::vector<const RuleMatch*> pointers;
        for (const RuleMatch& one : earlier) pointers.push_back(&one);
        const std::vector<std::size_t> takers = covered_together(pointers, later, left);
        if (takers.empty()) continue;
        ++together;
        std::vector<bool> taken(matched.size());
        for (std::size_t rule : takers) {
            const std::vector<bool> one = world.matched_by(earlier.at(rule));
            for (std::size_t i = 0; i < taken.size(); ++i) taken[i] = taken[i] || one[i];
        }
        for (std::size_t i = 0; i < taken.size(); ++i) CHECK((!matched[i] || taken[i]));
    }
    CHECK(together > 300);
    CHECK(contradictions > 100);
}

TEST_CASE("without steps left nothing is said", "[policy]") {
    Condition a, b;
    a.field = b.field = Field::tools;
    b.wanted = false;
    const RuleMatch one{{a}}, other{{b}}, both{{a, b}}, all;
    std::int64_t left = 1'000;
    CHECK(contradicts_itself(both, left));
    CHECK(covered_together({&one, &other}, all, left) == std::vector<std::size_t>{0, 1});
    left = 0;
    CHECK_FALSE(contradicts_itself(both, left));
    CHECK(covered_together({&one, &other}, all, left).empty());
}
