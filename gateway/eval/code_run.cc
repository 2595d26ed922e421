#include "gateway/eval/code_run.h"

#include "gateway/eval/sandbox.h"

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

std::string why_wrong(const CodeScorer& scorer, const SandboxOutcome& ran) {
    if (ran.timed_out) return "not done within " + std::to_string(scorer.timeout_ms) + " ms";
    if (ran.too_much_output) return "printed more than 64 KiB";
    if (ran.signal != 0) return "ended by signal " + std::to_string(ran.signal);
    if (ran.exit_status != 0)
        return "exit status " + std::to_string(ran.exit_status) + ": " + last_line(ran.output);
    if (scorer.output && trimmed(*scorer.output) != trimmed(ran.output))
        return "printed something else: " + last_line(ran.output);
    return "";
}

}  // namespace

Result<Score> score_code(const CodeScorer& scorer, std::string_view answer) {
    SandboxJob job;
    job.command = scorer.command;
    job.file = scorer.file;
    job.content = std::string(code_of(answer)) + "\n" + scorer.append;
    job.input = scorer.input;
    job.timeout_ms = scorer.timeout_ms;
    auto ran = run_apart(job);
    if (!ran) return ran.error();
    Score score;
    score.why = why_wrong(scorer, *ran);
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
