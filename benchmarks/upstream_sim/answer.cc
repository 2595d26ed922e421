// Plans an answer: which tokens, and the exact counters that bill them.
#include <algorithm>
#include <array>
#include <ctime>

#include "benchmarks/upstream_sim/wire.h"

namespace sluice::sim {

namespace {

constexpr std::int64_t reasoning_tokens_default = 32;

constexpr std::array<std::string_view, 24> words = {
    " no", " model", " was",  " called", " for",   " this", " text", ";",
    " it", " only",  " has",  " the",    " shape", " and",  " the",  " length",
    " of", " a",     " real", " one",    " (é",    " 日本", ")",     "."};

constexpr std::array<std::string_view, 4> json_pieces = {"{\"simulated\"", ": ", "true", "}"};

bool thinks(const std::string& model) {
    return model.find("reasoner") != std::string::npos || model.find("think") != std::string::npos;
}

void add_pieces(Answer& answer, Kind kind, std::string_view first, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        std::size_t word = (static_cast<std::size_t>(i) + words.size() - 1) % words.size();
        answer.pieces.emplace_back(kind, i == 0 ? first : words[word]);
    }
}

}  // namespace

std::string Answer::all(Kind kind) const {
    std::string text;
    for (const auto& [of, piece] : pieces) {
        if (of == kind) text += piece;
    }
    return text;
}

Answer plan_answer(const Call& call, const Behaviour& behaviour, std::uint64_t number) {
    Answer answer;
    answer.id = "sim" + std::to_string(number);
    answer.created = std::time(nullptr);
    answer.model = call.model;
    answer.tool = behaviour.tool;
    answer.usage = !behaviour.no_usage;
    answer.stream_usage = call.include_usage;
    answer.in_total = behaviour.input_tokens.value_or(call.input_tokens);
    answer.in_cached = std::min(behaviour.cached_tokens, answer.in_total);
    answer.in_cache_write =
        std::min(behaviour.cache_write_tokens, answer.in_total - answer.in_cached);
    std::int64_t reasoning =
        behaviour.reasoning_tokens.value_or(thinks(call.model) ? reasoning_tokens_default : 0);
    bool prose = answer.tool.empty() && !behaviour.json;
    auto after_thought = static_cast<std::int64_t>(json_pieces.size());
    if (prose) after_thought = behaviour.tokens;
    std::int64_t most = call.max_tokens.value_or(after_thought + reasoning);
    answer.out_reasoning = std::min(reasoning, most);
    answer.out_total = std::min(after_thought + reasoning, most);
    answer.cut_short = answer.out_total < after_thought + reasoning;
    add_pieces(answer, Kind::reasoning, "(simulated thought)", answer.out_reasoning);
    std::int64_t rest = answer.out_total - answer.out_reasoning;
    if (prose) {
        add_pieces(answer, Kind::text, "This answer is *simulated*:", rest);
        return answer;
    }
    for (std::int64_t i = 0; i < rest; ++i) {
        Kind kind = answer.tool.empty() ? Kind::text : Kind::tool;
        answer.pieces.emplace_back(kind, json_pieces[static_cast<std::size_t>(i)]);
    }
    return answer;
}

}  // namespace sluice::sim
