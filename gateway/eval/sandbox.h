// One program that nobody trusts, run apart: user, process, network, mount, IPC and host name
// spaces of its own, a root that has only the system's programs (read-only) and an empty folder of
// 32 MiB, no capability, no environment of ours, limits on time, memory, files and processes. Where
// the kernel does not allow all of that, nothing is run. Any thread, one at a time a call; blocks.
#pragma once

#include <string>
#include <vector>

#include "engine/result.h"

namespace sluice {

struct SandboxJob {
    std::vector<std::string> command;  // searched in /usr/bin and /bin
    std::string file;                  // made in its folder, with `content`; "" = none
    std::string content;
    std::string input;  // its standard input
    int timeout_ms = 10'000;
};

struct SandboxOutcome {
    bool timed_out = false;
    bool too_much_output = false;
    int exit_status = -1;  // of a program that ended by itself
    int signal = 0;        // that ended it
    std::string output;    // standard output and error, as they came
};

constexpr std::size_t sandbox_output_max = 64 << 10;     // bytes; then it is ended
constexpr std::size_t sandbox_memory_max = 1ULL << 30U;  // of each process
constexpr int sandbox_processes_max = 32;

// Errors: unsupported_parameter, saying which step the kernel refused; internal where the process
// has no descriptors or memory left.
Result<SandboxOutcome> run_apart(const SandboxJob& job);

}  // namespace sluice
