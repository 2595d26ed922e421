// A server under measurement: a child process pinned to one core, with its CPU time and memory.
// Linux only. The child ends with this object, or with this process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/result.h"

namespace sluice::bench {

class TargetProcess {
public:
    // Output goes to the file `log`. Errors: internal (cannot start).
    static Result<std::unique_ptr<TargetProcess>> start(const std::vector<std::string>& command,
                                                        int core, const std::string& log);
    ~TargetProcess();  // SIGTERM, then SIGKILL after 5 s
    TargetProcess(const TargetProcess&) = delete;
    TargetProcess& operator=(const TargetProcess&) = delete;

    // CPU time of all its threads since it began, user and kernel, nanoseconds.
    std::int64_t cpu_ns() const;
    std::int64_t user_ns() const;  // the user part, in steps of the kernel's tick
    std::int64_t resident_bytes() const;
    bool running();

private:
    explicit TargetProcess(pid_t pid) : pid_(pid) {}
    pid_t pid_;
};

// The first two cores this process may run on. Errors: internal when there is only one.
Result<std::pair<int, int>> two_cores();
void pin_to(int core);  // the calling thread

// A folder that goes with the object.
class ScratchFolder {
public:
    ScratchFolder();
    ~ScratchFolder();
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const std::string& path() const { return path_; }
    // Writes a file in it and gives its path.
    std::string write(const std::string& name, const std::string& text) const;

private:
    std::string path_;
};

int free_port();                                       // free now
bool wait_for_port(int port, TargetProcess& process);  // until it accepts; bounded

}  // namespace sluice::bench
