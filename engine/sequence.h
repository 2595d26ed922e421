// One generation: its tokens, how far they are computed, and the text that comes of them. Knows
// nothing of other sequences. The engine thread's alone.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/loop_detector.h"
#include "engine/text/detokenizer.h"
#include "engine/text/stop_matcher.h"

namespace sluice {

class Sequence {
public:
    using Time = std::chrono::steady_clock::time_point;

    // `generated_max` is sampling.tokens_max or the room left in the context, if that is less.
    Sequence(SequenceId id, std::vector<TokenId> prompt, Sampling sampling, Sink sink,
             int generated_max, std::uint64_t seed, SubmitOptions options = {});

    SequenceId id() const { return id_; }
    int priority() const { return options_.priority; }
    const Sampling& sampling() const { return sampling_; }
    const SubmitOptions& options() const { return options_; }
    std::span<const TokenId> tokens() const { return tokens_; }  // prompt, then generated
    int size() const { return static_cast<int>(tokens_.size()); }
    int prompt_tokens() const { return prompt_tokens_; }
    int generated_tokens() const { return generated_; }
    // The most tokens it can come to have.
    int size_max() const { return prompt_tokens_ + generated_max_; }
    // Random bits for the next token that no step chooses yet. A function of the seed and the
    // token's index alone: where the logits are the same bits whatever else runs (on the CPU, on a
    // GPU with batch_invariant), so are the tokens.
    std::uint64_t draw() const;
    // Whether the next token is the first and the hidden state is asked for with it.
    bool wants_hidden() const { return sampling_.hidden_state && generated_ + pending == 0; }
    // Whether its next step can be laid out before the pending token is known.
    bool goes_on_unseen() const;
    // Whether the pending token is its last one, whatever it is.
    bool ends_with_pending() const { return generated_ + pending >= generated_max_; }

    // Takes the next token: text, stop strings, the end; or, where a thought has spent its budget,
    // all that closes it instead. Not to be called once finished().
    void take(const Sampled& sampled, const Tokenizer& tokenizer);
    // Ends it from outside: cancelled or failed. Keeps a piece that was not delivered yet and
    // makes it the last one.
    void end(FinishReason reason, const std::string& error);
    bool finished() const { return finished_; }
    bool looped() const { return finished_ && piece_.finish == FinishReason::loop; }
    bool failed() const { return finished_ && piece_.finish == FinishReason::failed; }

    // Offers the gathered piece to the sink if there is something to say. False: the sink refused
    // it and the sequence is held until it takes it.
    bool deliver(Time now);
    bool held() const { return held_; }
    Time held_since() const { return held_since_; }
    bool delivered_last() const { return delivered_last_; }

    // Its place in the order of service, fixed when it arrives.
    struct Rank {
        Time at = Time::min();
        SequenceId id = 0;
        auto operator<=>(const Rank&) const = default;
    };
    void arrive(Time now) { rank_ = {now - priority() * SubmitOptions::priority_lead, id_}; }
    const Rank& rank() const { return rank_; }

    // The batch's part: seat, pages and how many tokens have their KV in them.
    int slot = -1;
    PageTable pages;
    SwapPlaces swapped;             // while it waits, of `computed`
    int computed = 0;               // by the steps that are begun
    int pending = 0;                // tokens that begun steps choose and that it has not taken
    int offered_pages = 0;          // the first of them, which others may share
    int cached_prompt_tokens = -1;  // found computed when it first took its seat; -1: not yet
    bool offers() const { return !options_.cache_tenant.empty() && !offers_no_more; }
    bool offers_no_more = false;  // the key of its next page is another's

private:
    // `sampled`: what was chosen, be it this token or what gives way to it.
    void accept(TokenId token, const Sampled& sampled, const ChosenLogprob& logprobs,
                const Tokenizer& tokenizer);
    void follow_thought(TokenId token);
    bool thought_is_spent() const;
    void add_text(const std::string& text);
    void close(FinishReason reason);

    SequenceId id_;
    Sampling sampling_;
    SubmitOptions options_;
    Sink sink_;
    std::vector<TokenId> tokens_;
    int prompt_tokens_;
    int generated_ = 0;
    int generated_max_;
    std::uint64_t seed_;
    enum class Thought { none, open, closed };
    Thought thought_;
    int thought_tokens_ = 0;
    LoopDetector loops_;
    Detokenizer detokenizer_;
    StopMatcher stops_;
    Piece piece_;
    Rank rank_;
    bool held_ = false;
    Time held_since_{};
    bool finished_ = false;
    bool delivered_last_ = false;
};

}  // namespace sluice
