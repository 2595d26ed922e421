#include "engine/cpu/lazy_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace sluice {

LazyMemory::~LazyMemory() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
}

void LazyMemory::give_back() {
    // Cannot fail on a private mapping of ours; were it kept, nothing would be wrong.
    if (data_ != nullptr) (void)::madvise(data_, bytes_, MADV_DONTNEED);
}

Result<LazyMemory> LazyMemory::take(std::size_t bytes, bool large_pages, const char* purpose) {
    LazyMemory memory;
    void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return Error(Errc::bad_config, "no memory for " + std::string(purpose) + " (" +
                                           std::to_string(bytes) +
                                           " bytes): " + std::generic_category().message(errno));
    memory.data_ = static_cast<std::uint8_t*>(mapped);
    memory.bytes_ = bytes;
    // Only advice: without large pages everything works, a little slower.
    if (large_pages) (void)::madvise(mapped, bytes, MADV_HUGEPAGE);
    return memory;
}

}  // namespace sluice
