#include "engine/model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sluice {
namespace {

std::string reason() { return std::generic_category().message(errno); }

Result<std::span<const std::uint8_t>> map(const std::string& path, int file,
                                          std::size_t bytes_max) {
    struct stat info {};
    if (::fstat(file, &info) != 0)
        return Error(Errc::bad_file, path + ": cannot read its size: " + reason());
    if (!S_ISREG(info.st_mode))
        return Error(Errc::bad_file, path + ": expected a model file, found no plain file");
    if (info.st_size == 0)
        return Error(Errc::bad_file, path + ": expected a model file, found an empty file");
    auto size = static_cast<std::size_t>(info.st_size);
    if (size > bytes_max)
        return Error(Errc::bad_file, path + ": has " + std::to_string(size) +
                                         " bytes, expected at most " + std::to_string(bytes_max));
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) return Error(Errc::bad_file, path + ": cannot map it: " + reason());
    return std::span(static_cast<const std::uint8_t*>(data), size);
}

}  // namespace

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

MappedFile::~MappedFile() {
    // munmap takes a pointer to non-const but writes nothing.
    if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

void MappedFile::let_go(std::span<const std::uint8_t> part) const {
    auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    auto begin = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;
    auto end = reinterpret_cast<std::uintptr_t>(part.data()) + part.size();
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Status MappedFile::open(const std::string& path, std::size_t bytes_max) {
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is not waited for
    if (file < 0) return Error(Errc::bad_file, path + ": cannot open it: " + reason());
    auto mapped = map(path, file, bytes_max);
    ::close(file);
    if (!mapped) return mapped.error();
    bytes_ = *mapped;
    return Done{};
}

}  // namespace sluice
