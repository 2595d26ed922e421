#include "gateway/handover.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

namespace sluice {
namespace {

constexpr int first_socket = 3;    // sd_listen_fds(3)
constexpr int sockets_max = 1024;  // as io_threads
constexpr const char* pid_name = "LISTEN_PID";
constexpr const char* count_name = "LISTEN_FDS";
constexpr const char* names_name = "LISTEN_FDNAMES";
constexpr const char* restarted_name = "SLUICE_RESTARTED";
constexpr const char* in_vain_name = "SLUICE_RESTARTED_IN_VAIN";

std::optional<int> number_in(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    std::string_view digits(text);
    int value = -1;
    auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    if (error != std::errc() || end != digits.end()) return std::nullopt;
    return value;
}

bool listens(int socket) {
    int listening = 0;
    socklen_t size = sizeof listening;
    bool known = ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0;
    return known && listening != 0;
}

std::string reason() { return std::generic_category().message(errno); }

// Where none of them is overwritten when they are put in their places.
bool move_up(std::vector<int>& sockets) {
    int free_from = first_socket + static_cast<int>(sockets.size());
    for (int& socket : sockets) {
        int moved = ::fcntl(socket, F_DUPFD_CLOEXEC, free_from);
        if (moved < 0) return false;
        ::close(socket);
        socket = moved;
    }
    return true;
}

bool put_in_place(const std::vector<int>& sockets) {
    int place = first_socket;
    for (int socket : sockets)
        if (::dup2(socket, place++) < 0) return false;  // stays open at exec
    // Not on kernels before 5.11: there what a library has opened carelessly stays open.
    (void)::close_range(static_cast<unsigned>(place), UINT_MAX, CLOSE_RANGE_CLOEXEC);
    return true;
}

// The same for all descriptors of one socket.
std::uint64_t cookie_of(int socket) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    (void)::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size);  // 0 where unknown
    return cookie;
}

bool set(const char* name, const std::string& value) {
    return ::setenv(name, value.c_str(), 1) == 0;
}

}  // namespace

Result<boost::asio::ip::tcp::endpoint> bound_to(int socket) {
    boost::asio::ip::tcp::endpoint endpoint;
    auto size = static_cast<socklen_t>(endpoint.capacity());
    if (::getsockname(socket, endpoint.data(), &size) != 0 ||
        (endpoint.data()->sa_family != AF_INET && endpoint.data()->sa_family != AF_INET6))
        return Error(Errc::bad_config, "an inherited socket is none of TCP");
    endpoint.resize(size);
    return endpoint;
}

std::vector<int> fitting(const std::vector<int>& sockets,
                         const boost::asio::ip::tcp::endpoint& wanted) {
    std::vector<int> fit;
    std::set<std::uint64_t> seen;
    for (int socket : sockets) {
        auto bound = bound_to(socket);
        bool same_port = bound && (wanted.port() == 0 || bound->port() == wanted.port());
        bool fits = same_port && bound->address() == wanted.address();
        std::uint64_t cookie = cookie_of(socket);
        if (fits && (cookie == 0 || seen.insert(cookie).second))
            fit.push_back(socket);
        else
            ::close(socket);
    }
    return fit;
}

bool shares_port(int socket) {
    int on = 0;
    socklen_t size = sizeof on;
    return ::getsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, &size) == 0 && on != 0;
}

Result<Inherited> take_inherited() {
    Inherited out;
    auto pid = number_in(pid_name);
    int count = number_in(count_name).value_or(0);
    bool restarted = number_in(restarted_name) == static_cast<int>(::getpid());
    int in_vain = number_in(in_vain_name).value_or(0);
    for (const char* name : {pid_name, count_name, names_name, restarted_name, in_vain_name})
        ::unsetenv(name);
    if (pid != static_cast<int>(::getpid())) return out;  // meant for another process
    if (count < 0 || count > sockets_max)
        return Error(Errc::bad_config,
                     std::string(count_name) + " must be from 0 to " + std::to_string(sockets_max));
    out.restarted = restarted;
    out.in_vain = restarted ? in_vain : 0;
    for (int socket = first_socket; socket < first_socket + count; ++socket) {
        if (!listens(socket))
            return Error(Errc::bad_config, std::string(count_name) + ": descriptor " +
                                               std::to_string(socket) +
                                               " is no listening stream socket");
        (void)::fcntl(socket, F_SETFD, FD_CLOEXEC);
        out.sockets.push_back(socket);
    }
    return out;
}

Result<std::vector<std::string>> own_command_line() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    std::string all{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::string> words;
    for (std::size_t at = 0; at < all.size();) {
        std::size_t end = std::min(all.find('\0', at), all.size());
        words.push_back(all.substr(at, end - at));
        at = end + 1;
    }
    if (words.empty()) return Error(Errc::bad_config, "/proc/self/cmdline: cannot read it");
    return words;
}

Status can_start(const std::vector<std::string>& words) {
    const std::string& program = words.front();
    std::vector<std::string> places;
    if (program.find('/') != std::string::npos) {
        places.push_back(program);
    } else if (const char* path = std::getenv("PATH"); path != nullptr) {
        std::istringstream folders(path);
        for (std::string folder; std::getline(folders, folder, ':');)
            places.push_back(folder + "/" + program);
    }
    for (const std::string& place : places)
        if (::access(place.c_str(), X_OK) == 0) return Done{};
    return Error(Errc::bad_config, program + ": no such program that may be run");
}

Error become_next(const std::vector<std::string>& words, std::vector<int> sockets, int in_vain) {
    const std::string pid = std::to_string(::getpid());
    bool ready = move_up(sockets) && put_in_place(sockets) && set(pid_name, pid) &&
                 set(count_name, std::to_string(sockets.size())) && set(restarted_name, pid) &&
                 set(in_vain_name, std::to_string(in_vain));
    if (ready) {
        std::vector<char*> list;
        for (const std::string& word : words)
            list.push_back(const_cast<char*>(word.c_str()));  // execvp writes nothing
        list.push_back(nullptr);
        ::execvp(list.front(), list.data());
    }
    return Error(Errc::internal, words.front() + ": cannot start it anew: " + reason());
}

}  // namespace sluice
