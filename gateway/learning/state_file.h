// A small file that is read whole and replaced whole: it is either the old one or the new one,
// also when the process or the machine dies. Blocking; main's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

// Empty where there is none. Errors: bad_file (cannot be read or reached, more than 16 MiB).
Result<std::string> read_state_file(const std::string& path);
// Makes its folder. `mode`: who may read it, whatever the umask is. Errors: bad_file with the
// system's words: the old one stands, but for a folder that cannot be synced. `unsynced`, where
// given, takes those words instead: the new one stands, and may be lost with the machine.
Status write_state_file(const std::string& path, std::string_view bytes, unsigned mode = 0600,
                        std::string* unsynced = nullptr);
// Gone for good, also when the machine dies next; one that is not there is gone. Errors: bad_file:
// it is there still, or its folder cannot be synced.
Status remove_state_file(const std::string& path);

// While it lives no other process takes the same file's. In FILE.lock, which stays.
class StateLock {
public:
    // Errors: bad_file: another process has it, or it cannot be made.
    static Result<std::unique_ptr<StateLock>> take(const std::string& path);
    ~StateLock();
    StateLock(const StateLock&) = delete;
    StateLock& operator=(const StateLock&) = delete;

private:
    explicit StateLock(int file) : file_(file) {}
    int file_;
};

}  // namespace sluice
