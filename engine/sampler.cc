#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/softmax_row.h"
#include "engine/text/detokenizer.h"

namespace sluice {
namespace {

constexpr float greedy_below = 1e-5F;  // dividing by less leaves nothing but the argmax

struct Candidate {
    float logit;
    TokenId token;
};

// Best first; the lower id wins a tie, as in argmax.
bool better(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

struct Scratch {
    std::vector<Candidate> candidates;
    std::vector<std::int32_t> seen;              // per token: 0 or 1 + its generated count
    std::vector<TokenId> touched;                // tokens with seen != 0, to reset it
    std::vector<std::pair<TokenId, float>> raw;  // logits before bias and penalties
    std::vector<double> block_mass;
};

Scratch& scratch() {
    static thread_local Scratch s;
    return s;
}

// Leaves the `count` best of the row in s.candidates, best first. Keeps a buffer of twice that
// size and a bar under which nothing is looked at twice, so the row is read once.
void gather_best(std::span<const float> row, std::size_t count, Scratch& s) {
    auto& best = s.candidates;
    best.clear();
    float bar = -std::numeric_limits<float>::infinity();
    std::size_t room = std::min(row.size(), std::max<std::size_t>(2 * count, 256));
    for (std::size_t i = 0; i < row.size(); ++i) {
        if (!(row[i] > bar)) continue;
        best.push_back({row[i], static_cast<TokenId>(i)});
        if (best.size() < room || count >= room) continue;
        auto cut = best.begin() + static_cast<std::ptrdiff_t>(count);
        std::nth_element(best.begin(), cut - 1, best.end(), better);
        bar = (cut - 1)->logit;  // later ids lose the tie, so > is right
        best.erase(cut, best.end());
    }
    if (best.size() > count) {
        auto cut = best.begin() + static_cast<std::ptrdiff_t>(count);
        std::nth_element(best.begin(), cut - 1, best.end(), better);
        best.erase(cut, best.end());
    }
    std::sort(best.begin(), best.end(), better);
}

void keep_raw(std::span<const float> logits, TokenId token, Scratch& s) {
    s.raw.emplace_back(token, logits[static_cast<std::size_t>(token)]);
}

float raw_logit(std::span<const float> logits, TokenId token, const Scratch& s) {
    for (const auto& [id, value] : s.raw)  // the first entry is the oldest
        if (id == token) return value;
    return logits[static_cast<std::size_t>(token)];
}

bool in_row(TokenId token, std::span<const float> logits) {
    return token >= 0 && static_cast<std::size_t>(token) < logits.size();
}

void apply_bias(std::span<float> logits, const Sampling& sampling, Scratch& s) {
    for (const auto& [token, bias] : sampling.logit_bias) {
        if (!in_row(token, logits)) continue;
        keep_raw(logits, token, s);
        logits[static_cast<std::size_t>(token)] += bias;
    }
}

// Repetition divides a positive logit and multiplies a negative one, once per distinct token of
// prompt and output (Keskar et al. 2019, section 4.1). Frequency and presence are OpenAI's:
// subtracted per occurrence, and once, over the output only.
void apply_penalties(std::span<float> logits, const StepSequence& sequence, Scratch& s) {
    const Sampling& sampling = *sequence.sampling;
    if (sampling.repetition_penalty == 1.0F && sampling.presence_penalty == 0.0F &&
        sampling.frequency_penalty == 0.0F)
        return;
    if (s.seen.size() < logits.size()) s.seen.resize(logits.size(), 0);
    s.touched.clear();
    for (std::size_t i = 0; i < sequence.history.size(); ++i) {
        TokenId token = sequence.history[i];
        if (!in_row(token, logits)) continue;
        std::int32_t& seen = s.seen[static_cast<std::size_t>(token)];
        if (seen == 0) {
            s.touched.push_back(token);
            seen = 1;
        }
        if (i >= static_cast<std::size_t>(sequence.prompt_tokens)) ++seen;
    }
    for (TokenId token : s.touched) {
        float& logit = logits[static_cast<std::size_t>(token)];
        std::int32_t& seen = s.seen[static_cast<std::size_t>(token)];
        keep_raw(logits, token, s);
        float penalty = sampling.repetition_penalty;
        logit = logit > 0 ? logit / penalty : logit * penalty;
        auto generated = static_cast<float>(seen - 1);
        logit -= generated * sampling.frequency_penalty;
        if (generated > 0) logit -= sampling.presence_penalty;
        seen = 0;
    }
}

TokenId argmax(std::span<const float> logits) { return static_cast<TokenId>(argmax_row(logits)); }

// A draw over every token not below `floor`, in id order.
TokenId draw_from_row(std::span<const float> row, float top, float temperature, float floor,
                      double uniform, Scratch& s) {
    double total = softmax_mass(row, top, 1 / temperature, floor, &s.block_mass);
    double target = uniform * total;
    std::size_t block = 0;
    while (block + 1 < s.block_mass.size() && target >= s.block_mass[block])
        target -= s.block_mass[block++];
    std::size_t end = std::min(row.size(), (block + 1) * softmax_block);
    TokenId last = -1;  // rounding may leave the target just past the last token
    for (std::size_t i = block * softmax_block; i < end; ++i) {
        if (row[i] < floor) continue;
        double weight = std::exp(static_cast<double>((row[i] - top) / temperature));
        if (weight <= 0) continue;
        last = static_cast<TokenId>(i);
        if (target < weight) break;
        target -= weight;
    }
    return last >= 0 ? last : argmax(row);
}

// A draw where top_k or top_p is on: min_p, top_k and top_p each keep a prefix of the tokens in
// order of probability, so only that prefix is sorted. Without top_k its length is not known
// beforehand; it is looked for among more and more of the best.
TokenId draw_from_best(std::span<const float> row, float top, const Sampling& sampling, float floor,
                       double uniform, Scratch& s) {
    const float scale = 1 / sampling.temperature;
    const bool limited = sampling.top_k > 0;
    const std::size_t limit =
        limited ? std::min(row.size(), static_cast<std::size_t>(sampling.top_k)) : row.size();
    auto weight = [&](const Candidate& c) {
        return c.logit < floor ? 0.0 : std::exp(static_cast<double>((c.logit - top) * scale));
    };
    double total = 0;
    if (limited) {
        gather_best(row, limit, s);
        for (const Candidate& c : s.candidates) total += weight(c);
    } else {
        total = softmax_mass(row, top, scale, floor, nullptr);
    }
    // The tolerance keeps 0.8 of {0.5, 0.3, 0.2} from taking the third for a rounding error.
    const double wanted = static_cast<double>(sampling.top_p) * total * (1 - 1e-6);
    double mass = 0;
    std::size_t kept = 0;
    for (std::size_t width = limited ? limit : 64;; width *= 8) {
        width = std::min(width, limit);
        if (!limited) gather_best(row, width, s);
        for (mass = 0, kept = 0; kept < s.candidates.size();) {
            double w = weight(s.candidates[kept]);
            if (kept > 0 && w <= 0) break;
            mass += w;
            ++kept;
            if (mass >= wanted) break;
        }
        if (mass >= wanted || kept < s.candidates.size() || width >= limit) break;
    }
    double target = uniform * mass;
    std::size_t at = 0;
    for (; at + 1 < kept; ++at) {
        double w = weight(s.candidates[at]);
        if (target < w) break;
        target -= w;
    }
    return s.candidates[at].token;
}

TokenId choose(std::span<const float> logits, const Sampling& sampling, std::uint64_t draw,
               Scratch& s) {
    if (sampling.temperature < greedy_below || sampling.top_k == 1) return argmax(logits);
    const float top = logits[argmax_row(logits)];
    float floor = -std::numeric_limits<float>::infinity();
    if (sampling.min_p > 0) floor = top + sampling.temperature * std::log(sampling.min_p);
    double uniform = static_cast<double>(draw >> 11) * 0x1p-53;
    if (sampling.top_k > 0 || sampling.top_p < 1)
        return draw_from_best(logits, top, sampling, floor, uniform, s);
    return draw_from_row(logits, top, sampling.temperature, floor, uniform, s);
}

}  // namespace

Sampled sample(std::span<float> logits, const StepSequence& sequence) {
    Sampled out;
    out.slot = sequence.slot;
    const Sampling& sampling = *sequence.sampling;
    RowSummary row = summarize_row(logits);
    if (!row.usable) {
        out.failed = true;
        return out;
    }
    Scratch& s = scratch();
    s.raw.clear();
    const float log_sum = row.top + static_cast<float>(std::log(row.mass));
    out.signals.entropy = row.entropy;
    out.signals.margin = row.top - row.second;
    if (in_row(sampling.thinking.end, logits))
        out.signals.think_end_logprob =
            logits[static_cast<std::size_t>(sampling.thinking.end)] - log_sum;
    if (sampling.top_logprobs > 0) {
        auto count = std::min(logits.size(), static_cast<std::size_t>(sampling.top_logprobs));
        gather_best(logits, count, s);
        for (const Candidate& c : s.candidates)
            out.logprobs.top.push_back({c.token, c.logit - log_sum, {}});
    }
    apply_bias(logits, sampling, s);
    apply_penalties(logits, sequence, s);
    out.token = choose(logits, sampling, sequence.draw, s);
    out.signals.logprob = raw_logit(logits, out.token, s) - log_sum;
    if (sampling.top_logprobs >= 0) {
        out.logprobs.chosen.token = out.token;
        out.logprobs.chosen.logprob = out.signals.logprob;
    }
    return out;
}

namespace {

Error out_of_range(const std::string& field, const std::string& allowed, double given) {
    std::string text = std::to_string(given);
    return {Errc::invalid_request, field + " must be " + allowed + ", got " + text, field};
}

Status check_thinking(const Thinking& thinking, int vocab_size) {
    for (TokenId token : {thinking.begin, thinking.end})
        if (token < -1 || token >= vocab_size)
            return out_of_range("thinking", "-1 or a token id below " + std::to_string(vocab_size),
                                token);
    if (thinking.end < 0 || thinking.budget < 0) return Done{};
    constexpr std::size_t closing_max = 256;
    bool ends = false;
    for (TokenId token : thinking.closing) {
        if (token < 0 || token >= vocab_size)
            return out_of_range("thinking.closing", "token ids below " + std::to_string(vocab_size),
                                token);
        ends = ends || token == thinking.end;
    }
    if (!ends || thinking.closing.size() > closing_max)
        return Error(Errc::invalid_request,
                     "thinking.closing must hold the token that ends a thought, in at most " +
                         std::to_string(closing_max) + " tokens",
                     "thinking.closing");
    return Done{};
}

}  // namespace

Status check_sampling(const Sampling& sampling, int vocab_size) {
    struct Range {
        const char* field;
        float value, low, high;
        const char* allowed;
    };
    const Range ranges[] = {
        {"temperature", sampling.temperature, 0, 100, "from 0 to 100"},
        {"top_p", sampling.top_p, 0, 1, "from 0 to 1"},
        {"min_p", sampling.min_p, 0, 1, "from 0 to 1"},
        {"presence_penalty", sampling.presence_penalty, -100, 100, "from -100 to 100"},
        {"frequency_penalty", sampling.frequency_penalty, -100, 100, "from -100 to 100"},
        {"repetition_penalty", sampling.repetition_penalty, 0.01F, 100, "from 0.01 to 100"},
        {"top_k", static_cast<float>(sampling.top_k), 0, 1e9F, "0 (off) or more"},
        {"max_tokens", static_cast<float>(sampling.tokens_max), 1, 2e9F, "at least 1"},
        {"top_logprobs", static_cast<float>(sampling.top_logprobs), -1, 20, "from 0 to 20"},
    };
    for (const Range& range : ranges)  // written so that NaN fails
        if (!(range.value >= range.low && range.value <= range.high))
            return out_of_range(range.field, range.allowed, static_cast<double>(range.value));
    if (sampling.logit_bias.size() > Sampling::logit_bias_max)
        return Error(Errc::invalid_request,
                     "logit_bias may name at most " + std::to_string(Sampling::logit_bias_max) +
                         " tokens, got " + std::to_string(sampling.logit_bias.size()),
                     "logit_bias");
    for (const auto& [token, bias] : sampling.logit_bias) {
        if (token < 0 || token >= vocab_size)
            return Error(Errc::invalid_request,
                         "logit_bias names token " + std::to_string(token) +
                             ", the model's ids are 0 to " + std::to_string(vocab_size - 1),
                         "logit_bias");
        if (!(bias >= -1000 && bias <= 1000))
            return out_of_range("logit_bias", "from -100 to 100", static_cast<double>(bias));
    }
    for (const std::string& stop : sampling.stop) {
        if (stop.empty() || stop.size() > 4096)
            return Error(
                Errc::invalid_request,
                "a stop string must have 1 to 4096 bytes, got " + std::to_string(stop.size()),
                "stop");
        Detokenizer whole;
        if (whole.push(stop) + whole.finish() != stop)
            return Error(Errc::invalid_request, "a stop string must be valid UTF-8", "stop");
    }
    if (sampling.stop.size() > 64)
        return Error(Errc::invalid_request,
                     "at most 64 stop strings, got " + std::to_string(sampling.stop.size()),
                     "stop");
    return check_thinking(sampling.thinking, vocab_size);
}

}  // namespace sluice
