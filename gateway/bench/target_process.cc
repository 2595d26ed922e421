#include "gateway/bench/target_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace sluice::bench {
namespace {

constexpr int start_tries = 1'000;
constexpr int stop_tries = 500;
constexpr timespec ten_ms = {0, 10'000'000};

sockaddr_in loopback(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

Result<std::unique_ptr<TargetProcess>> TargetProcess::start(const std::vector<std::string>& command,
                                                            int core, const std::string& log) {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    pid_t pid = ::fork();
    if (pid < 0)
        return Error(Errc::internal, std::string("cannot start a process: ") + strerror(errno));
    if (pid == 0) {  // between fork and exec: plain system calls only
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin_to(core);
        ::dup2(output, STDOUT_FILENO);
        ::dup2(output, STDERR_FILENO);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    ::close(output);
    return std::unique_ptr<TargetProcess>(new TargetProcess(pid));
}

TargetProcess::~TargetProcess() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    for (int i = 0; i < stop_tries && running(); ++i) ::nanosleep(&ten_ms, nullptr);
    if (!running()) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

bool TargetProcess::running() {
    if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ > 0;
}

std::int64_t TargetProcess::cpu_ns() const {
    clockid_t clock;
    timespec time = {};
    if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
    return std::int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::int64_t TargetProcess::user_ns() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
    std::string text;
    std::getline(file, text);
    std::istringstream words(text.substr(std::min(text.size(), text.rfind(')') + 1)));
    std::string word;
    for (int field = 3; field < 14; ++field) words >> word;
    std::int64_t ticks = 0;
    words >> ticks;
    return ticks * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
}

std::int64_t TargetProcess::resident_bytes() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
    std::int64_t total = 0;
    std::int64_t resident = 0;
    file >> total >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

Result<std::pair<int, int>> two_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<int> cores;
    for (int i = 0; i < CPU_SETSIZE && cores.size() < 2; ++i)
        if (CPU_ISSET(i, &set)) cores.push_back(i);
    if (cores.size() < 2)
        return Error(Errc::internal,
                     "this benchmark needs two cores: one for the server measured, "
                     "one for the load and the upstream");
    return std::pair(cores[0], cores[1]);
}

void pin_to(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

ScratchFolder::ScratchFolder() {
    std::string form = (std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string();
    if (::mkdtemp(form.data()) != nullptr) path_ = form;
}

ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::string ScratchFolder::write(const std::string& name, const std::string& text) const {
    std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    return path;
}

int free_port() {
    int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    ::bind(handle, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(handle);
    return ntohs(address.sin_port);
}

bool wait_for_port(int port, TargetProcess& process) {
    for (int i = 0; i < start_tries && process.running(); ++i) {
        int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = loopback(port);
        int done = ::connect(handle, reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::close(handle);
        if (done == 0) return true;
        ::nanosleep(&ten_ms, nullptr);
    }
    return false;
}

}  // namespace sluice::bench
