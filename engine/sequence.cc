#include "engine/sequence.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice {
namespace {

// Tokens without text (held characters, held stop strings, control tokens) go out at the latest
// in such a bunch, so that their signals are not stale.
constexpr std::size_t textless_tokens_max = 16;

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): every bit of x moves every bit out.
std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
}

}  // namespace

Sequence::Sequence(SequenceId id, std::vector<TokenId> prompt, Sampling sampling, Sink sink,
                   int generated_max, std::uint64_t seed, SubmitOptions options)
    : id_(id),
      sampling_(std::move(sampling)),
      options_(std::move(options)),
      sink_(std::move(sink)),
      tokens_(std::move(prompt)),
      prompt_tokens_(static_cast<int>(tokens_.size())),
      generated_max_(generated_max),
      seed_(seed),
      thought_(sampling_.thinking.open ? Thought::open : Thought::none),
      stops_(sampling_.stop) {}

std::uint64_t Sequence::draw() const {
    constexpr std::uint64_t golden = 0x9E3779B97F4A7C15ULL;
    return mix(mix(seed_ + golden) + static_cast<std::uint64_t>(generated_ + pending) * golden);
}

// Penalties are made of the tokens so far, and a spent thought is closed instead of going on.
bool Sequence::goes_on_unseen() const {
    const bool penalised = sampling_.repetition_penalty != 1.0F ||
                           sampling_.presence_penalty != 0.0F ||
                           sampling_.frequency_penalty != 0.0F;
    return !penalised && !thought_is_spent();
}

void Sequence::take(const Sampled& sampled, const Tokenizer& tokenizer) {
    assert(!finished() && !held_);
    if (sampled.failed) {
        end(FinishReason::failed,
            "the model's logits are not numbers (NaN or infinite); other sequences go on");
        return;
    }
    if (generated_ == 0) {
        piece_.probe = sampled.probe;
        piece_.hidden_state = sampled.hidden;
    }
    if (!thought_is_spent() || sampled.token == sampling_.thinking.end) {
        accept(sampled.token, sampled, sampled.logprobs, tokenizer);
        return;
    }
    for (TokenId token : sampling_.thinking.closing) {
        ChosenLogprob certain;
        certain.chosen.token = token;
        accept(token, sampled, certain, tokenizer);
        if (finished_) return;
    }
}

void Sequence::accept(TokenId token, const Sampled& sampled, const ChosenLogprob& logprobs,
                      const Tokenizer& tokenizer) {
    ++generated_;
    piece_.signals.push_back(sampled.signals);
    tokens_.push_back(token);
    if (tokenizer.is_end(token) && !sampling_.ignore_end) {
        close(FinishReason::stop);
        return;
    }
    piece_.tokens.push_back(token);
    if (sampling_.top_logprobs >= 0) {
        ChosenLogprob& added = piece_.logprobs.emplace_back(logprobs);
        added.chosen.bytes = tokenizer.bytes_of(added.chosen.token, true);
        for (TokenLogprob& top : added.top) top.bytes = tokenizer.bytes_of(top.token, true);
    }
    add_text(detokenizer_.push(tokenizer.bytes_of(token)));
    follow_thought(token);
    const bool watched = sampling_.stop_on_loop && !sampling_.ignore_end;
    const auto generated = tokens().subspan(static_cast<std::size_t>(prompt_tokens_));
    if (stops_.stopped() || generated_ >= generated_max_)
        close(FinishReason::length);
    else if (watched && loops_.push(generated))
        close(FinishReason::loop);
}

void Sequence::follow_thought(TokenId token) {
    if (thought_ == Thought::none && token == sampling_.thinking.begin)
        thought_ = Thought::open;
    else if (thought_ == Thought::open && token == sampling_.thinking.end)
        thought_ = Thought::closed;
    else if (thought_ == Thought::open)
        ++thought_tokens_;
}

bool Sequence::thought_is_spent() const {
    const Thinking& thinking = sampling_.thinking;
    return thought_ == Thought::open && thinking.end >= 0 && thinking.budget >= 0 &&
           thought_tokens_ >= thinking.budget;
}

void Sequence::add_text(const std::string& text) { piece_.text += stops_.push(text); }

// A natural end: what was held back can be no stop string any more, unless the last half
// character completes one.
void Sequence::close(FinishReason reason) {
    add_text(detokenizer_.finish());
    piece_.text += stops_.finish();
    end(stops_.stopped() ? FinishReason::stop : reason, "");
    piece_.stop_string = stops_.found();
}

void Sequence::end(FinishReason reason, const std::string& error) {
    finished_ = true;
    piece_.last = true;
    piece_.finish = reason;
    piece_.error = error;
    piece_.generated_tokens = generated_;
}

bool Sequence::deliver(Time now) {
    bool worth = finished_ || held_ || !piece_.text.empty() || sampling_.ignore_end ||
                 piece_.tokens.size() >= textless_tokens_max;
    bool something = finished_ ? !delivered_last_ : !piece_.tokens.empty();
    if (!worth || !something) return true;
    piece_.prompt_tokens = prompt_tokens_;
    piece_.cached_prompt_tokens = std::max(cached_prompt_tokens, 0);
    bool held_before = std::exchange(held_, !sink_(piece_));
    if (held_ && !held_before) held_since_ = now;
    if (held_) return false;
    delivered_last_ = finished_;
    piece_ = Piece{};
    return true;
}

}  // namespace sluice
