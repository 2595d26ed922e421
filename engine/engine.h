// The engine: token ids in, text and token ids out, many sequences at once, on one device.
// The only engine header, with text/tokenizer.h, result.h and log.h, that the floors above read.
//
// Threads: open() anywhere; submit, cancel and occupancy from any thread, they never wait for a
// step. One engine thread schedules and calls every Sink; the CPU device has compute threads of
// its own below it. Ownership: the engine owns all state; destroying it ends every sequence with
// FinishReason::cancelled and joins the thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "engine/text/tokenizer.h"

namespace sluice {

// A linear head over the hidden state (after the final norm) of a prompt's last token: what a
// router reads before the first token is paid for.
struct Probe {
    std::vector<float> weights;  // one a hidden dim; empty = no probe
    float bias = 0.0F;
};

struct EngineOptions {
    std::string model_path;  // a GGUF file, or a folder of safetensors
    // Instead of a file: random weights of a known model's shape (model/shape_file.h), on a GPU.
    std::string shape;
    std::string quant = "q4_k_m";
    std::string device = "cpu";  // or "cuda"
    int threads = 0;             // compute threads of the CPU device; 0 = all cores
    // Running at once; more wait. On a GPU their biases and penalties have a place for each token
    // that a step may change: sequences_max x min(vocabulary, context + 1024) x 16 bytes there, and
    // twice that pinned on the host (32 at 131,072: 68 and 135 MB; 256: 541 MB and 1.08 GB).
    int sequences_max = 32;
    int waiting_max = 256;       // more than sequences_max + this alive: Errc::overloaded
    int context_tokens_max = 0;  // per sequence; 0 = the model's own, capped by the KV pool
    // KV pool in tokens. 0 = on a GPU all that its memory still holds; on the CPU what three
    // quarters of the weights' size hold, so that a crowd takes less memory than the model does. At
    // least the context_tokens_max asked for; without one, 2048; with sequences_max 1, the whole
    // context.
    std::int64_t kv_tokens = 0;
    std::string kv_format = "bf16";  // of a GPU: or "fp8"; the CPU keeps f16
    // Of a GPU: tokens of sequences that gave way, whose keys and values wait in the host's memory
    // instead of being computed again. Memory is taken when they come, and kept. -1 = a quarter of
    // the KV pool, in at most an eighth of the memory that the process may take; 0 = none. The CPU
    // computes again: there it gives the same bits.
    std::int64_t kv_swap_tokens = -1;
    // Prompt tokens computed in one step, beside the decodes. 0 = 256 on the CPU, 2048 on a GPU.
    int prefill_tokens_max = 0;
    // Of a GPU: a step that takes longer is taken for one that never ends, and the device for lost.
    // The longest by far, 2,048 prompt tokens of a 70B after 131,072, takes some two seconds.
    int step_ms_max = 60'000;
    // How long an engine without work keeps computed beginnings before it gives their memory back,
    // on the CPU: five minutes, as hosted prompt caches do. A GPU's memory is the engine's for
    // good, so there they stay until others need the pages.
    int cached_idle_ms_max = 300'000;
    Probe probe;
    // On a GPU: a sequence's tokens and logprobs are the same bits whatever runs beside it, as they
    // always are on the CPU. Decoding costs nothing; prompts take about three times as long.
    bool batch_invariant = false;
};

// A reasoning model's thought: its marks, and how long it may be. Only the first one counts.
struct Thinking {
    TokenId begin = -1;  // <think>; -1 = only a prompt opens a thought
    TokenId end = -1;    // </think>; -1 = the model has none: nothing here holds
    bool open = false;   // the prompt opened the thought
    int budget = -1;     // tokens from where it was opened to its end; < 0 = as many as it likes
    // What is said in place of the first token beyond the budget, counted and given out as if
    // generated (logprob 0). Has `end` in it, and at most 256 tokens.
    std::vector<TokenId> closing;
};

// How to choose the next token. Defaults are the neutral ones: pure sampling at temperature 1.
struct Sampling {
    static constexpr int logit_bias_max = 1024;  // tokens, as OpenAI allows

    float temperature = 1.0F;  // 0 = greedy
    float top_p = 1.0F;
    int top_k = 0;  // 0 = off
    float min_p = 0.0F;
    float presence_penalty = 0.0F;    // OpenAI's meaning: over generated tokens
    float frequency_penalty = 0.0F;   // OpenAI's meaning: over generated tokens
    float repetition_penalty = 1.0F;  // over prompt and generated tokens, once per distinct token
    std::vector<std::pair<TokenId, float>> logit_bias;
    std::optional<std::uint64_t> seed;  // unset = from the system's entropy
    std::vector<std::string> stop;      // UTF-8; never emitted, not even in part
    int tokens_max = 16;                // generated tokens, the end token included
    int top_logprobs = -1;              // -1 none; 0..20 = chosen token's logprob and this many
    bool ignore_end = false;            // benchmarks: go on past end tokens, and in loops
    bool stop_on_loop = false;          // end a sequence that goes round in circles
    bool hidden_state = false;          // of the prompt's last token, in the first piece
    Thinking thinking;
};

// How a sequence stands among the others.
struct SubmitOptions {
    // Sequences of one tenant begin with what another of them has computed of the same tokens;
    // "" = share nothing. Never across tenants: how soon an answer begins would tell one what
    // another has asked.
    std::string cache_tenant;
    // -priority_max..priority_max, the higher first: it is served as if it had come priority_lead
    // earlier for each, so nothing waits for ever behind what comes later. It takes the place of
    // running ones of lower priority, younger by that count, only where there is no other.
    int priority = 0;
    static constexpr int priority_max = 8;
    static constexpr std::chrono::seconds priority_lead{30};
};

struct TokenLogprob {
    TokenId token = 0;
    float logprob = 0.0F;
    std::string bytes;  // the token's own bytes, perhaps part of a character
};

struct ChosenLogprob {
    TokenLogprob chosen;
    std::vector<TokenLogprob> top;  // best first
};

// What the router reads per token, free of charge. From the raw logits at temperature 1.
struct TokenSignals {
    float logprob = 0.0F;  // of the chosen token
    float entropy = 0.0F;  // nats
    float margin = 0.0F;   // logprob(top 1) - logprob(top 2)
    // Of Thinking::end, at whose peak a thought is ripe. NaN: none is set.
    float think_end_logprob = std::numeric_limits<float>::quiet_NaN();
};

// loop: the last 1,024 tokens repeat one cycle of at most 64, or the last 2,048 or more one of at
// most 1,024 four times (loop_detector.h).
enum class FinishReason { none, stop, length, loop, cancelled, failed };

// One piece of a sequence, in order. `text` holds whole UTF-8 characters only; bytes that can never
// become a character come out as U+FFFD.
struct Piece {
    std::string text;
    std::vector<TokenId> tokens;          // the ids behind this piece, in order; no end token
    std::vector<ChosenLogprob> logprobs;  // one per token when asked for
    // One for each of `tokens`, and last that of the end token, where one ended the sequence. All
    // tokens that close a spent thought have those of what gave way to them.
    std::vector<TokenSignals> signals;
    // In the first piece: of EngineOptions::probe, NaN without it; and where Sampling asks for it
    // the hidden state after the final norm.
    float probe = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> hidden_state;
    int prompt_tokens = 0;
    int cached_prompt_tokens = 0;  // part of prompt_tokens found computed when it began
    bool last = false;             // the final piece carries the fields below
    FinishReason finish = FinishReason::none;
    std::string stop_string;  // which one ended it, when one did
    std::string error;        // when failed
    int generated_tokens = 0;
};

// Called on the engine thread; must not block or throw. Returns false when it cannot take the
// piece now (`piece` is then untouched): the sequence is held, taking no steps, until it can.
using Sink = std::function<bool(Piece& piece)>;

using SequenceId = std::uint64_t;

struct Occupancy {
    bool up = true;  // false from the loss of the device until it is open again
    int running = 0;
    int waiting = 0;
    std::int64_t kv_pages_used = 0;    // held by sequences
    std::int64_t kv_pages_cached = 0;  // held by none, kept for prompts that begin the same
    std::int64_t kv_pages_total = 0;
    std::int64_t kv_pages_swapped = 0;  // of sequences that gave way, in the host's memory
    int page_tokens = 0;
    double step_seconds = 0.0;      // exponential mean of recent steps
    double host_gap_seconds = 0.0;  // likewise: between steps, with copies of swapped pages
    // A decode step with one more sequence than run now, foretold from the steps so far, and what a
    // prompt's token adds to the step that computes it. 0 before the first.
    double next_step_seconds = 0.0;
    double prompt_token_seconds = 0.0;
    std::int64_t uncomputed_tokens = 0;  // of prompts, of all who run or wait
    double tokens_per_second = 0.0;      // generated, over the last few seconds
    std::uint64_t generated_tokens_total = 0;
    std::uint64_t prompt_tokens_total = 0;
    std::uint64_t loops_total = 0;              // sequences ended with FinishReason::loop
    std::uint64_t prefix_hit_tokens_total = 0;  // of prompt_tokens_total, those found computed
    std::uint64_t preemptions_total = 0;        // times that a sequence gave way to others
    std::uint64_t swaps_total = 0;              // of them, those that kept their keys and values
};

struct ModelInfo {
    std::string name;           // general.name of the file
    std::string architecture;   // llama, qwen2
    std::string chat_template;  // tokenizer.chat_template, may be empty
    // How its makers would have it sampled, where the model says.
    std::optional<float> temperature;
    std::optional<float> top_p;
    std::optional<int> top_k;
    std::optional<float> min_p;
    std::optional<float> repetition_penalty;
    std::string sampling_ignored;  // names of what it says beside it that Sampling has no word for
    int context_tokens = 0;        // the window this engine serves
    std::int64_t parameters = 0;
};

class Engine {
public:
    static Result<std::unique_ptr<Engine>> open(const EngineOptions& options);
    virtual ~Engine() = default;

    // Queues a sequence. Errors: context_length_exceeded (with the numbers), invalid_request
    // (empty prompt, bad value, token id out of range), overloaded, and device_failed
    // once the device is lost. A tokens_max beyond the room left in the context is cut to it.
    virtual Result<SequenceId> submit(std::vector<TokenId> prompt, Sampling sampling, Sink sink,
                                      SubmitOptions options = {}) = 0;
    // Ends a sequence before the next step that is not begun yet and frees its pages. Its sink may
    // be called once more, for a piece in flight, and is then destroyed on the engine thread; there
    // is no last piece. Unknown or finished ids are ignored.
    virtual void cancel(SequenceId id) = 0;
    virtual Occupancy occupancy() const = 0;
    virtual const Tokenizer& tokenizer() const = 0;
    virtual const ModelInfo& model() const = 0;
};

// What one decode step reads at least, and how fast this machine reads: the limit that benchmarks
// state their figures beside.
struct ReadLimit {
    std::int64_t weight_bytes = 0;    // all weights that a token passes, as the file has them
    std::int64_t kv_token_bytes = 0;  // keys and values of one token of context
    double bytes_per_second = 0.0;    // measured now, with the device's own threads
};
// Takes about half a second and, for that time, 256 MiB of memory. Errors: as Engine::open.
Result<ReadLimit> measure_read_limit(const EngineOptions& options);

}  // namespace sluice
