// sluice generate: the engine alone, one prompt to standard output.
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/log.h"
#include "gateway/commands.h"
#include "providers/local/local_provider.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct GenerateOptions {
    std::string model, prompt;
    int max_tokens = 256;
    float temperature = 0.0F;
    std::optional<std::uint64_t> seed;
    std::string device = "cpu";
    bool raw = false;
    bool json = false;
};

constexpr std::chrono::hours silence_max{1};  // a long prompt on a slow machine takes minutes

struct Arrived {
    Piece piece;
    Clock::time_point at;
};

// Pieces from the engine thread to main. Holds at most the answer: max_tokens pieces. The sink
// keeps it alive, as it may be called once more after main gave up.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
public:
    Sink sink() {
        return [box = shared_from_this()](Piece& piece) {
            std::lock_guard lock(box->mutex_);
            box->pieces_.push_back({std::move(piece), Clock::now()});
            box->ready_.notify_one();
            return true;
        };
    }
    Result<Arrived> next() {
        std::unique_lock lock(mutex_);
        if (!ready_.wait_for(lock, silence_max, [&] { return !pieces_.empty(); }))
            return Error(Errc::timed_out, "the engine gave nothing for an hour");
        Arrived out = std::move(pieces_.front());
        pieces_.pop_front();
        return out;
    }

private:
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Arrived> pieces_;
};

struct Answer {
    std::string text;
    std::vector<TokenId> tokens;
    Piece last;
    double open_seconds = 0;
    double first_token_seconds = 0;  // from the prompt's submission
    double prefill_tok_s = 0;
    double decode_tok_s = 0;
};

Result<std::vector<TokenId>> encode_prompt(const GenerateOptions& options, const Engine& engine) {
    if (options.raw) return engine.tokenizer().encode(options.prompt, true, true);
    auto provider = LocalProvider::create(engine, LocalOptions{});
    if (!provider) return provider.error();
    Message message;
    message.role = Role::user;
    message.parts.emplace_back();
    message.parts.back().text = options.prompt;
    return (*provider)->encode({message}, std::time(nullptr));
}

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

double rate(double tokens, Clock::duration time) {
    return time > Clock::duration::zero() ? tokens / seconds(time) : 0;
}

// Text as it comes. False when nobody reads it any more.
bool print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0;
}

Result<Answer> generate(Engine& engine, std::vector<TokenId> prompt, const Sampling& sampling,
                        bool stream) {
    auto mailbox = std::make_shared<Mailbox>();
    const auto begin = Clock::now();
    auto id = engine.submit(std::move(prompt), sampling, mailbox->sink());
    if (!id) return id.error();
    Answer answer;
    Clock::time_point first{};
    int first_tokens = 0;
    bool reading = true;
    while (!answer.last.last) {
        auto arrived = mailbox->next();
        if (!arrived) return arrived.error();
        Piece& piece = arrived->piece;
        if (first == Clock::time_point{}) {
            first = arrived->at;
            first_tokens = static_cast<int>(piece.tokens.size());
        }
        answer.text += piece.text;
        answer.tokens.insert(answer.tokens.end(), piece.tokens.begin(), piece.tokens.end());
        if (stream && reading) reading = print(piece.text);
        if (!piece.last) continue;
        answer.first_token_seconds = seconds(first - begin);
        answer.prefill_tok_s = rate(piece.prompt_tokens, first - begin);
        answer.decode_tok_s = rate(piece.generated_tokens - first_tokens, arrived->at - first);
        answer.last = std::move(piece);
    }
    if (answer.last.finish == FinishReason::failed)
        return Error(Errc::device_failed, answer.last.error);
    if (!reading) return Error(Errc::cancelled, "standard output was closed");
    return answer;
}

std::string as_json(const Answer& answer) {
    std::string out = "{\"text\":";
    append_json_string(out, answer.text);
    out += ",\"tokens\":[";
    for (std::size_t i = 0; i < answer.tokens.size(); ++i)
        out += (i > 0 ? "," : "") + std::to_string(answer.tokens[i]);
    char numbers[256];
    std::snprintf(numbers, sizeof numbers,
                  "],\"prompt_tokens\":%d,\"prefill_tok_s\":%.1f,\"decode_tok_s\":%.1f,"
                  "\"open_seconds\":%.3f,\"first_token_seconds\":%.3f}\n",
                  answer.last.prompt_tokens, answer.prefill_tok_s, answer.decode_tok_s,
                  answer.open_seconds, answer.first_token_seconds);
    return out + numbers;
}

Status run(const GenerateOptions& options) {
    EngineOptions engine_options;
    engine_options.model_path = options.model;
    engine_options.device = options.device;
    engine_options.sequences_max = 1;
    // A prompt in smaller pieces than usual: what lies between the layers takes 1 MB less.
    if (options.device == "cpu") engine_options.prefill_tokens_max = 64;
    const auto begin = Clock::now();
    auto engine = Engine::open(engine_options);
    if (!engine) return engine.error();
    const double open_seconds = seconds(Clock::now() - begin);
    auto prompt = encode_prompt(options, **engine);
    if (!prompt) return prompt.error();
    Sampling sampling;
    sampling.temperature = options.temperature;
    sampling.seed = options.seed;
    sampling.tokens_max = options.max_tokens;
    auto answer = generate(**engine, std::move(*prompt), sampling, !options.json);
    if (!answer) return answer.error();
    answer->open_seconds = open_seconds;
    if (!print(options.json ? as_json(*answer) : "\n"))
        return Error(Errc::cancelled, "standard output was closed");
    std::fprintf(stderr,
                 "%d prompt tokens at %.1f tok/s, %d generated at %.1f tok/s, after %.1f s of "
                 "opening\n",
                 answer->last.prompt_tokens, answer->prefill_tok_s, answer->last.generated_tokens,
                 answer->decode_tok_s, answer->open_seconds);
    return Done{};
}

}  // namespace

void add_generate(Command& app, int& status) {
    auto options = std::make_shared<GenerateOptions>();
    Command command = app.add_subcommand(
        "generate",
        "One prompt through the engine alone: text as it comes on stdout, speed on "
        "stderr.");
    command.add_option("--model", options->model, "A GGUF file or a model folder")
        .required()
        .type_name("FILE");
    command.add_option("--prompt", options->prompt, "The user's message")
        .required()
        .type_name("TEXT");
    command.add_option("--max-tokens", options->max_tokens, "Most tokens to generate (256)")
        .positive()
        .type_name("N");
    command.add_option("--temperature", options->temperature, "0 (default) takes the best token")
        .type_name("T");
    command.add_option("--seed", options->seed, "Same seed, same answer (above temperature 0)")
        .type_name("N");
    command.add_option("--device", options->device, "cpu (default) or cuda")
        .one_of({"cpu", "cuda"});
    command.add_flag("--raw", options->raw, "Continue the prompt itself: no chat template");
    command.add_flag("--json", options->json,
                     "One JSON object: {\"text\",\"tokens\",\"prompt_tokens\",\"prefill_tok_s\","
                     "\"decode_tok_s\",\"open_seconds\",\"first_token_seconds\"}");
    command.footer(
        "Example:\n  sluice generate --model models/smollm2-135m-instruct-q4_1.gguf --prompt "
        "'What is the capital of France?'");
    command.callback([options, &status] {
        Status done = run(*options);
        if (!done) std::cerr << "sluice generate: " << done.error().message << '\n';
        status = done ? 0 : 1;
    });
}

}  // namespace sluice
