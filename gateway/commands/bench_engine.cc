// sluice bench engine: tokens a second of the engine alone, beside what the machine's memory
// allows. One JSON line a batch size on stdout; progress on stderr.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "gateway/commands.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes deadline{30};  // for all sequences of one batch size

struct Asked {
    EngineOptions engine;
    std::vector<int> batches = {1};
    int prompt = 512;
    int generate = 128;
    int requests = 0;  // > 0: so many at once, of mixed lengths
    std::string quant;
    std::string kv;
};

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// What the sinks of one batch saw. They run on the engine thread, the waiting on the caller's; a
// sink keeps its tally, as it may be called once more after the waiting was given up.
class Tally : public std::enable_shared_from_this<Tally> {
public:
    explicit Tally(int sequences) : waiting_first_(sequences), waiting_last_(sequences) {}

    Sink sink() {
        return [tally = shared_from_this(), started = false](Piece& piece) mutable {
            return tally->take(piece, started);
        };
    }

    Status wait() {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, deadline, [&] { return waiting_last_ == 0; }))
            return Error(Errc::timed_out, "the batch took longer than 30 minutes");
        if (!error_.empty()) return Error(Errc::device_failed, error_);
        return Done{};
    }

    // After wait(). The time in which all of them decoded: from the last one's first token to the
    // first one's end. Nothing when that came before.
    Clock::time_point all_ended() const { return all_ended_; }
    double decode_seconds() const { return seconds(first_ended_ - all_started_); }
    std::int64_t decode_tokens() const { return tokens_at_end_ - tokens_at_start_; }
    std::int64_t tokens() const { return tokens_; }

private:
    bool take(const Piece& piece, bool& started) {
        std::lock_guard lock(mutex_);
        tokens_ += static_cast<std::int64_t>(piece.tokens.size());
        if (!started && !piece.tokens.empty()) {
            started = true;
            if (--waiting_first_ == 0) {
                all_started_ = Clock::now();
                tokens_at_start_ = tokens_;
            }
        }
        if (!piece.last) return true;
        if (piece.finish == FinishReason::failed) error_ = piece.error;
        all_ended_ = Clock::now();
        if (first_ended_ == Clock::time_point{}) {
            first_ended_ = all_ended_;
            tokens_at_end_ = tokens_ - static_cast<std::int64_t>(piece.tokens.size());
        }
        if (--waiting_last_ == 0) changed_.notify_one();
        return true;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    int waiting_first_;
    int waiting_last_;
    std::int64_t tokens_ = 0;
    std::int64_t tokens_at_start_ = 0;
    std::int64_t tokens_at_end_ = 0;
    Clock::time_point first_ended_;
    Clock::time_point all_started_;
    Clock::time_point all_ended_;
    std::string error_;
};

// Sequence `index`'s prompt: the same ids in every run and nothing like text, so that a prefix
// cache finds nothing. benchmarks/engine_cpu gives others the same.
std::vector<TokenId> prompt_of(int index, int length, int vocab) {
    std::vector<TokenId> out;
    for (std::int64_t i = 0; i < length; ++i)
        out.push_back(static_cast<TokenId>((i * 7919 + index * 104729) % (vocab * 4 / 5) + 10));
    return out;
}

// Runs `batch` sequences to `generate` tokens each, from submit to the last piece.
Status run_batch(Engine& engine, const Asked& asked, int batch, int generate, Tally& tally) {
    Sampling sampling;
    sampling.temperature = 0.0F;
    sampling.tokens_max = generate;
    sampling.ignore_end = true;
    std::vector<SequenceId> submitted;
    for (int i = 0; i < batch; ++i) {
        auto id = engine.submit(prompt_of(i, asked.prompt, engine.tokenizer().vocab_size()),
                                sampling, tally.sink());
        if (!id) {
            for (SequenceId earlier : submitted) engine.cancel(earlier);
            return id.error();
        }
        submitted.push_back(*id);
    }
    return tally.wait();
}

Status measure(Engine& engine, const Asked& asked, const ReadLimit& limit, int batch) {
    std::fprintf(stderr, "batch %d: %d prompt tokens, %d generated, each\n", batch, asked.prompt,
                 asked.generate);
    auto warm = std::make_shared<Tally>(batch);  // the first of its shapes: plans and graphs
    Status ran = run_batch(engine, asked, batch, 4, *warm);
    if (!ran) return ran;
    auto alone = std::make_shared<Tally>(1);  // the first token of a prompt that waits for nothing
    auto start = Clock::now();
    ran = run_batch(engine, asked, 1, 1, *alone);
    if (!ran) return ran;
    const double first_token_seconds = seconds(alone->all_ended() - start);
    auto prefill = std::make_shared<Tally>(batch);
    start = Clock::now();
    ran = run_batch(engine, asked, batch, 1, *prefill);
    if (!ran) return ran;
    double prefill_seconds = seconds(prefill->all_ended() - start);
    auto decode = std::make_shared<Tally>(batch);
    ran = run_batch(engine, asked, batch, asked.generate, *decode);
    if (!ran) return ran;
    if (decode->decode_tokens() <= 0)
        return Error(Errc::bad_config,
                     "the first sequence ended before the last began; --generate "
                     "more tokens");
    double token_seconds = decode->decode_seconds() /
                           static_cast<double>(std::max<std::int64_t>(decode->decode_tokens(), 1));
    double step_seconds = token_seconds * batch;
    double context = asked.prompt + asked.generate / 2.0;
    double step_bytes = static_cast<double>(limit.weight_bytes) +
                        batch * context * static_cast<double>(limit.kv_token_bytes);
    std::printf(
        "{\"batch\":%d,\"prefill_tok_s\":%.1f,\"decode_tok_s\":%.1f,\"step_ms\":%.3f,"
        "\"read_gb_s\":%.2f,\"fraction_of_limit\":%.3f,\"host_gap_us\":%.1f,"
        "\"first_token_ms\":%.1f,\"kv_mib_per_sequence\":%.1f}\n",
        batch, batch * static_cast<double>(asked.prompt) / prefill_seconds, 1.0 / token_seconds,
        1e3 * step_seconds, step_bytes / step_seconds / 1e9,
        step_bytes / step_seconds / limit.bytes_per_second,
        1e6 * engine.occupancy().host_gap_seconds, 1e3 * first_token_seconds,
        (asked.prompt + asked.generate) * static_cast<double>(limit.kv_token_bytes) / 1048576.0);
    std::fflush(stdout);
    return Done{};
}

// Lengths as chats have them: log-normal with sigma 1 about `mean`, at most 8 times as long, from
// the quantiles in a shuffled order, so that every run has the same.
std::vector<int> mixed_lengths(int count, int mean, unsigned seed) {
    std::vector<double> raw;
    double sum = 0;
    for (int i = 0; i < count; ++i) {
        // Winitzki's inverse of the error function (2008), good to 2e-3.
        const double x = 2 * (i + 0.5) / count - 1;
        const double ln = std::log(1 - x * x);
        const double a = 2 / (3.14159265 * 0.147) + ln / 2;
        const double erf_inverse = std::copysign(std::sqrt(std::sqrt(a * a - ln / 0.147) - a), x);
        raw.push_back(std::min(std::exp(std::sqrt(2.0) * erf_inverse - 0.5), 8.0));
        sum += raw.back();
    }
    std::shuffle(raw.begin(), raw.end(), std::mt19937(seed));
    std::vector<int> out;
    for (double length : raw)
        out.push_back(std::max(static_cast<int>(std::lround(length * mean * count / sum)), 2));
    return out;
}

// All requests at once, as many of them running as the first batch size says.
Status measure_crowd(Engine& engine, const Asked& asked) {
    const std::vector<int> prompts = mixed_lengths(asked.requests, asked.prompt, 1);
    const std::vector<int> answers = mixed_lengths(asked.requests, asked.generate, 2);
    auto tally = std::make_shared<Tally>(asked.requests);
    std::int64_t prompt_tokens = 0;
    std::int64_t answer_tokens = 0;
    const auto start = Clock::now();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        Sampling sampling;
        sampling.temperature = 0.6F;
        sampling.top_p = 0.95F;
        sampling.seed = i;
        sampling.tokens_max = answers[i];
        sampling.ignore_end = true;
        auto id = engine.submit(
            prompt_of(static_cast<int>(i), prompts[i], engine.tokenizer().vocab_size()), sampling,
            tally->sink());
        if (!id) return id.error();
        prompt_tokens += prompts[i];
        answer_tokens += answers[i];
    }
    Status ended = tally->wait();
    if (!ended) return ended;
    const double time = seconds(tally->all_ended() - start);
    if (tally->tokens() != answer_tokens)
        return Error(Errc::internal, "asked for " + std::to_string(answer_tokens) +
                                         " tokens, got " + std::to_string(tally->tokens()));
    std::printf(
        "{\"requests\":%d,\"running\":%d,\"prompt_tokens\":%lld,\"output_tokens\":%lld,"
        "\"seconds\":%.2f,\"output_tok_s\":%.1f}\n",
        asked.requests, asked.batches.front(), static_cast<long long>(prompt_tokens),
        static_cast<long long>(answer_tokens), time, static_cast<double>(answer_tokens) / time);
    std::fflush(stdout);
    return Done{};
}

Status check(const Asked& asked) {
    const bool shape = !asked.engine.shape.empty();
    if (asked.engine.device == "cpu" && (shape || !asked.quant.empty()))
        return Error(Errc::bad_config,
                     "--shape and --quant fill a GPU with random weights; with --device cpu give "
                     "--model FILE");
    if (asked.engine.device == "cpu" && !asked.kv.empty())
        return Error(Errc::bad_config, "--kv is for GPUs; the CPU keeps keys and values in f16");
    if (shape != asked.engine.model_path.empty())
        return Error(Errc::bad_config, "which model? Give --model FILE.gguf or, on a GPU, --shape");
    return Done{};
}

int run(Asked asked) {
    Status checked = check(asked);
    if (!checked) {
        std::fprintf(stderr, "bench engine: %s\n", checked.error().message.c_str());
        return 2;
    }
    if (!asked.quant.empty()) asked.engine.quant = asked.quant;
    if (!asked.kv.empty()) asked.engine.kv_format = asked.kv;
    int largest = *std::max_element(asked.batches.begin(), asked.batches.end());
    asked.engine.sequences_max = largest;
    asked.engine.waiting_max = asked.requests;
    // Whole pages for each, and one to spare. A crowd gets all the memory that is left.
    asked.engine.kv_tokens = std::int64_t{largest} * (asked.prompt + asked.generate + 128);
    if (asked.requests > 0) asked.engine.kv_tokens = 0;
    auto fail = [](const Error& error) {
        std::fprintf(stderr, "bench engine: %s\n", error.message.c_str());
        return 1;
    };
    auto limit = measure_read_limit(asked.engine);
    if (!limit) return fail(limit.error());
    std::fprintf(stderr, "memory reads %.2f GB/s\n", limit->bytes_per_second / 1e9);
    auto engine = Engine::open(asked.engine);
    if (!engine) return fail(engine.error());
    if (asked.requests > 0) {
        Status measured = measure_crowd(**engine, asked);
        return measured ? 0 : fail(measured.error());
    }
    for (int batch : asked.batches) {
        Status measured = measure(**engine, asked, *limit, batch);
        if (!measured) return fail(measured.error());
    }
    return 0;
}

}  // namespace

void add_bench_engine(Command& bench, int& status) {
    auto asked = std::make_shared<Asked>();
    Command command = bench.add_subcommand("engine", "Tokens a second of the engine alone.");
    command.footer(
        "Example:\n  sluice bench engine --model models/m.gguf --batch 1,8 "
        "--prompt 256 --generate 64");
    command.add_option("--model", asked->engine.model_path, "A GGUF file or a model folder.");
    command.add_option("--shape", asked->engine.shape, "Random weights of a known shape (GPU).");
    command.add_option("--quant", asked->quant, "How --shape's weights are kept (GPU).");
    command.add_option("--device", asked->engine.device, "cpu or cuda.").capture_default_str();
    command.add_option("--threads", asked->engine.threads, "CPU threads, 0 = all cores.")
        .capture_default_str();
    command.add_option("--batch", asked->batches, "Sequences at once; several: 1,8,64.")
        .delimiter(',')
        .in_range(1, 1024)
        .capture_default_str();
    command.add_option("--prompt", asked->prompt, "Prompt tokens of each.")
        .in_range(1, 1 << 20)
        .capture_default_str();
    command.add_option("--generate", asked->generate, "Tokens generated by each.")
        .in_range(2, 1 << 20)
        .capture_default_str();
    command
        .add_option("--requests", asked->requests,
                    "So many at once, of mixed lengths whose means --prompt and --generate are; "
                    "--batch says how many run together.")
        .in_range(1, 100'000);
    command.add_option("--kv", asked->kv, "How keys and values are kept (GPU): bf16 or fp8.");
    command.add_flag("--batch-invariant", asked->engine.batch_invariant,
                     "The same bits whatever else runs (GPU).");
    command.callback([asked, &status] { status = run(*asked); });
}

}  // namespace sluice
