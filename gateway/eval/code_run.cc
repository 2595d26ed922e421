#include "gateway/eval/code_run.h"

#include <array>

#include "gateway/eval/sandbox.h"
#include "gateway/random_bytes.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

std::string_view trimmed(std::string_view text) {
    std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string last_line(std::string_view output) {
    output = trimmed(output);
    std::size_t line = output.rfind('\n');
    if (line != std::string_view::npos) output.remove_prefix(line + 1);
    return std::string(output.substr(0, 200));
}

// Stands for {{passed}} in what is appended, which prints it as its last line: nothing that the
// answer prints can be it by chance.
Result<std::string> fresh_token() {
    std::array<unsigned char, 16> bytes{};
    if (!random_bytes(bytes.data(), bytes.size()))
        return Error(Errc::bad_file, "the system gives no random numbers");
    return sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).substr(0, 32);
}

std::string why_wrong(const CodeScorer& scorer, const SandboxOutcome& ran,
                      const std::string& token) {
    if (ran.timed_out) return "not done within " + std::to_string(scorer.timeout_ms) + " ms";
    if (ran.too_much_output) return "printed more than 64 KiB";
    if (ran.signal != 0) return "ended by signal " + std::to_string(ran.signal);
    if (ran.exit_status != 0)
        return "exit status " + std::to_string(ran.exit_status) + ": " + last_line(ran.output);
    if (!token.empty() && last_line(ran.output) != token)
        return "left before its tests had passed: " + last_line(ran.output);
    std::string_view printed = trimmed(ran.output);
    printed.remove_suffix(token.size());
    if (scorer.output && trimmed(*scorer.output) != trimmed(printed))
        return "printed something else: " + last_line(ran.output);
    return "";
}

}  // namespace

Result<Score> score_code(const CodeScorer& scorer, std::string_view answer) {
    SandboxJob job;
    job.command = scorer.command;
    job.file = scorer.file;
    std::string append = scorer.append, token;
    if (std::size_t at = append.find(passed_mark); at != std::string::npos) {
        auto fresh = fresh_token();
        if (!fresh) return fresh.error();
        token = std::move(*fresh);
        append.replace(at, passed_mark.size(), token);
    }
    job.content = std::string(code_of(answer)) + "\n" + append;
    job.input = scorer.input;
    job.timeout_ms = scorer.timeout_ms;
    auto ran = run_apart(job);
    if (!ran) return ran.error();
    Score score;
    score.why = why_wrong(scorer, *ran, token);
    score.value = score.why.empty() ? 1 : 0;
    return score;
}

Status code_can_run() {
    SandboxJob job;
    job.command = {"true"};
    auto ran = run_apart(job);
    if (!ran) return ran.error();
    return Done{};
}

}  // namespace sluice
