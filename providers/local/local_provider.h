// The embedded engine behind the nouns of a call: a ChatRequest becomes prompt tokens and Sampling,
// the engine's Pieces become Deltas. Immutable: any thread. The Engine must outlive it.
//
// Defaults are OpenAI's (temperature 1, no limit but the window, capped by max_tokens_default),
// except where the model's files say how to sample it (temperature, top_p, top_k, min_p,
// repetition_penalty; do_sample: false is temperature 0), and for models that think: their authors
// ask for temperature 0.6 and top_p 0.95. LocalOptions may name others, and the request has the
// last word.
//
// Thought: thinking_tokens_max is its budget; else reasoning_effort none 0, minimal 256, low 1,024,
// medium 4,096, high 16,384 tokens, but at most three quarters of the answer's, so that there is
// room to answer; xhigh and no word set none. A thought that has spent it is closed in words of its
// own. This needs a vocabulary with a token </think>; other models' thoughts have no budget.
// Sequences of models that think end, with finish length, when they go round in circles.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/result.h"
#include "providers/caller.h"
#include "providers/chat.h"
#include "providers/local/chat_template.h"
#include "providers/local/prompt_encoder.h"
#include "providers/local/reasoning.h"

namespace sluice {

// Who shares computed beginnings of prompts in the engine: nobody, or the keys of one team.
enum class PrefixCache { off, team };

struct LocalOptions {
    int max_tokens_default = 4'096;  // where the request gives no max_tokens
    // Where the request gives none; unset = what the model's authors ask for, else 1.
    std::optional<double> temperature;
    std::optional<double> top_p;
    PrefixCache prefix_cache = PrefixCache::team;
};

// One request, ready for Engine::submit.
struct LocalCall {
    std::vector<TokenId> prompt;
    Sampling sampling;
    SubmitOptions options;
    ReasoningSplitter::Start reasoning = ReasoningSplitter::Start::off;
};

class LocalProvider {
public:
    // Errors: bad_file when the model has neither a chat template that can be read nor ChatML's
    // tokens.
    static Result<std::unique_ptr<const LocalProvider>> create(const Engine& engine,
                                                               const LocalOptions& options);

    // Errors: unsupported_parameter for what the engine cannot do, context_length_exceeded with the
    // numbers, invalid_request. Takes time in proportion to the prompt, about 0.1 ms for 1,000
    // tokens; a prompt far beyond the window is refused without encoding it. `now_unix_s` dates the
    // prompt of templates that ask for the date. A caller without org and team shares nothing.
    Result<LocalCall> prepare(const ChatRequest& request, const Caller& caller,
                              std::int64_t now_unix_s) const;

    // The prompt's tokens as prepare() would have them; of a prompt far beyond the window a number
    // that it has at least. 0 where the template cannot render it.
    std::int64_t count(const ChatRequest& request, std::int64_t now_unix_s) const;

    // The prompt of a conversation alone.
    Result<std::vector<TokenId>> encode(const std::vector<Message>& messages,
                                        std::int64_t now_unix_s) const;

    const Tokenizer& tokenizer() const { return engine_.tokenizer(); }
    bool thinks() const { return thinks_; }  // the model knows <think> and </think>

private:
    LocalProvider(const Engine& engine, const LocalOptions& options,
                  std::shared_ptr<const ChatTemplate> chat_template);
    Status check_supported(const ChatRequest& request) const;
    Error too_long(std::size_t prompt_tokens, const std::string& how_exact) const;
    Thinking thinking_of(const ChatRequest& request, const LocalCall& call) const;
    Result<int> room_for_answer(const ChatRequest& request, std::size_t prompt_tokens) const;

    const Engine& engine_;
    LocalOptions options_;
    std::shared_ptr<const ChatTemplate> template_;
    PromptEncoder encoder_;
    bool thinks_ = false;
    Thinking thinking_;  // without budget; tokens of this vocabulary
};

// The Pieces of one sequence to Deltas. One per stream, one thread; `provider` must outlive it.
class PieceReader {
public:
    PieceReader(const LocalProvider& provider, const LocalCall& call);

    // Adds what the piece says to `delta`; several may be read into one. The last piece sets .last,
    // .finish and .usage. Errors: cancelled, device_failed.
    Status read(const Piece& piece, Delta& delta);
    // Tokens so far. Nothing before the first piece: no one has waited for the prompt yet.
    const Usage& usage() const { return usage_; }

private:
    Status read_end(const Piece& piece, Delta& delta);
    void count(std::size_t tokens, std::size_t thought);
    std::string text_with_tags(const Piece& piece) const;
    std::size_t tokens_before(const Piece& piece, std::size_t bytes) const;

    const Tokenizer& tokenizer_;
    TokenId hidden_open_ = -1;   // <think> and </think> where they are control tokens, which the
    TokenId hidden_close_ = -1;  // engine's text leaves out
    ReasoningSplitter splitter_;
    std::size_t undecided_tokens_ = 0;
    std::vector<LogprobEntry> undecided_logprobs_;
    Usage usage_;
};

}  // namespace sluice
