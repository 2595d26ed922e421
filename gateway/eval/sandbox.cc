#include "gateway/eval/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "gateway/eval/sandbox_child.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() { close(); }
    void close() {
        if (number_ >= 0) ::close(std::exchange(number_, -1));
    }
    int get() const { return number_; }

private:
    int number_ = -1;
};

struct Pipe {
    Descriptor read, write;
    bool open() {
        int both[2];
        if (pipe2(both, O_CLOEXEC) != 0) return false;
        read = Descriptor(both[0]);
        write = Descriptor(both[1]);
        return true;
    }
};

// The running child; ends with this, and with it all that it started.
struct Running {
    pid_t pid = -1;
    Descriptor watch;  // readable once it has ended
    ~Running() {
        if (pid <= 0) return;
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }
};

int ms_until(Clock::time_point end) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

// Takes what is there. False at the end of it.
bool take(int from, std::string& into, std::size_t most) {
    std::array<char, 16'384> piece;
    ssize_t got = read(from, piece.data(), piece.size());
    if (got <= 0) return false;
    std::size_t room = most - std::min(most, into.size());
    into.append(piece.data(), std::min(static_cast<std::size_t>(got), room + 1));
    return true;
}

// Gives it its input and takes its output until it has ended, was too slow or said too much.
void converse(const SandboxJob& job, Running& child, Pipe& in, Pipe& out, SandboxOutcome& outcome) {
    auto end = Clock::now() + std::chrono::milliseconds(job.timeout_ms);
    std::size_t given = 0;
    bool ended = false;
    while (!ended) {
        if (given >= job.input.size()) in.write.close();
        std::array<pollfd, 3> waits = {pollfd{child.watch.get(), POLLIN, 0},
                                       pollfd{out.read.get(), POLLIN, 0},
                                       pollfd{in.write.get(), POLLOUT, 0}};
        int ready = poll(waits.data(), waits.size(), ms_until(end));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) {
            outcome.timed_out = true;
            return;
        }
        if (waits[1].revents != 0 && !take(out.read.get(), outcome.output, sandbox_output_max))
            out.read.close();
        if (outcome.output.size() > sandbox_output_max) {
            outcome.too_much_output = true;
            return;
        }
        if (waits[2].revents != 0) {
            ssize_t wrote =
                write(in.write.get(), job.input.data() + given, job.input.size() - given);
            given = wrote > 0 ? given + static_cast<std::size_t>(wrote) : job.input.size();
        }
        ended = waits[0].revents != 0;
    }
    // With it ended all that it had started: what is left to read has an end.
    while (out.read.get() >= 0 && outcome.output.size() <= sandbox_output_max &&
           take(out.read.get(), outcome.output, sandbox_output_max)) {
    }
    outcome.too_much_output = outcome.output.size() > sandbox_output_max;
}

void note_end(Running& child, SandboxOutcome& outcome) {
    kill(child.pid, SIGKILL);  // where it was too slow or said too much
    int status = 0;
    if (waitpid(std::exchange(child.pid, -1), &status, 0) < 0) return;
    if (WIFEXITED(status)) outcome.exit_status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
}

Error refused(const std::string& why) {
    return Error(Errc::unsupported_parameter,
                 "code is not run here, since this system does not allow to run it apart: " + why);
}

// A program that reads nothing must not end us by SIGPIPE.
class PipeSignalOff {
public:
    PipeSignalOff() : before_(signal(SIGPIPE, SIG_IGN)) {}
    ~PipeSignalOff() { signal(SIGPIPE, before_); }

private:
    void (*before_)(int);
};

}  // namespace

Result<SandboxOutcome> run_apart(const SandboxJob& job) {
    PipeSignalOff off;
    Pipe in, out, failed;
    if (!in.open() || !out.open() || !failed.open())
        return Error(Errc::internal, "no descriptor left for a sandbox");
    fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
    std::vector<const char*> command;
    for (const std::string& word : job.command) command.push_back(word.c_str());
    command.push_back(nullptr);
    std::string file = "/tmp/work/" + job.file;
    constexpr const char* nobody = "65534 ";
    std::string uid_map = nobody + std::to_string(geteuid()) + " 1";
    std::string gid_map = nobody + std::to_string(getegid()) + " 1";
    SandboxChild child;
    child.command = command.data();
    child.file = job.file.empty() ? nullptr : file.c_str();
    child.content = job.content.data();
    child.content_bytes = job.content.size();
    child.uid_map = uid_map.c_str();
    child.gid_map = gid_map.c_str();
    child.input = in.read.get();
    child.output = out.write.get();
    child.failed = failed.write.get();
    child.cpu_seconds = job.timeout_ms / 1'000 + 2;

    Running running;
    constexpr unsigned long apart = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS |
                                    CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
    running.pid = static_cast<pid_t>(syscall(SYS_clone, apart, nullptr, nullptr, nullptr, nullptr));
    if (running.pid == 0) become_program(child);
    if (running.pid < 0) return refused(std::string("new name spaces: ") + strerrordesc_np(errno));
    running.watch = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, running.pid, 0)));
    if (running.watch.get() < 0) return refused("watching a process by descriptor");
    in.read.close();
    out.write.close();
    failed.write.close();
    SandboxOutcome outcome;
    converse(job, running, in, out, outcome);
    note_end(running, outcome);
    std::string step;
    if (take(failed.read.get(), step, 200)) {
        if (step.starts_with("starting the program"))
            return Error(Errc::bad_config, job.command[0] + ": " + step);
        return refused(step);
    }
    return outcome;
}

}  // namespace sluice
