#include "gateway/learning/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "gateway/config_yaml.h"

namespace sluice {
namespace {

Error fault(const std::string& path, const char* doing) {
    return Error(Errc::bad_file,
                 path + ": cannot " + doing + ": " + std::strerror(errno));  // NOLINT: one thread
}

bool write_all(int file, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t wrote = ::write(file, bytes.data(), bytes.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return ::fsync(file) == 0;
}

// So that the new name outlives the machine's death, too.
bool sync_folder(const std::filesystem::path& folder) {
    int at = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return false;
    bool synced = ::fsync(at) == 0;
    int why = errno;
    ::close(at);
    errno = why;
    return synced;
}

}  // namespace

Result<std::string> read_state_file(const std::string& path) {
    std::error_code unreachable;  // set where it may well be there
    if (!std::filesystem::exists(path, unreachable)) {
        if (!unreachable) return std::string();
        return Error(Errc::bad_file, path + ": cannot reach: " + unreachable.message());
    }
    auto bytes = read_text_file(path);
    if (!bytes) return Error(Errc::bad_file, path + ": cannot read this file (of at most 16 MiB)");
    return *bytes;
}

Status write_state_file(const std::string& path, std::string_view bytes, unsigned mode,
                        std::string* unsynced) {
    std::error_code failed;
    auto folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, failed);
    std::string fresh = path + ".new";
    int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (file < 0) return fault(fresh, "create");
    // One that was left behind has the mode of its time, a new one the umask's.
    bool whole = ::fchmod(file, mode) == 0 && write_all(file, bytes);
    Error why = fault(fresh, "write");
    ::close(file);
    if (!whole) {
        ::unlink(fresh.c_str());  // on a full disk it takes what others need
        return why;
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) return fault(path, "replace");
    if (sync_folder(folder)) return Done{};
    Error lasting = fault(path, "sync the folder of");
    if (unsynced == nullptr) return lasting;
    *unsynced = lasting.message;
    return Done{};
}

Result<std::unique_ptr<StateLock>> StateLock::take(const std::string& path) {
    const std::string name = path + ".lock";
    std::error_code failed;  // told by what follows
    auto folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, failed);
    const int file = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return fault(name, "create");
    if (::flock(file, LOCK_EX | LOCK_NB) == 0)
        return std::unique_ptr<StateLock>(new StateLock(file));
    const bool held = errno == EWOULDBLOCK;
    Error why = fault(name, "lock");
    ::close(file);
    if (held)
        return Error(Errc::bad_file, path +
                                         ": another process learns into this file: give each "
                                         "gateway one of its own");
    return why;
}

StateLock::~StateLock() { ::close(file_); }

Status remove_state_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return Done{};
        return fault(path, "remove");
    }
    if (sync_folder(std::filesystem::path(path).parent_path())) return Done{};
    return fault(path, "sync the folder of");
}

}  // namespace sluice
