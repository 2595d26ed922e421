// The virtual keys that `sluice keys` makes: a file beside the ledger, LEDGER.keys, a line of JSON
// a key, replaced whole. A running gateway takes a change up within a second. It holds digests,
// never a secret. A key that was revoked stays in it, so that its id is not given again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

struct Config;
struct Fault;

struct IssuedKey {
    std::string id;
    std::string team, user;
    std::string sha256;              // of the secret
    std::string created;             // 2026-11-22T10:15:00Z
    std::string revoked;             // likewise; "" = in force
    std::string budget_usd, window;  // day, month or total; both "" = no budget of its own
};

class KeyFile {
public:
    explicit KeyFile(std::string path) : path_(std::move(path)) {}
    const std::string& path() const { return path_; }
    // Errors: bad_file with file and line. A line that cannot be read is an error: it may revoke.
    Result<std::vector<IssuedKey>> read() const;
    Status write(const std::vector<IssuedKey>& keys) const;

private:
    std::string path_;
};

// Adds the keys in force, and their budgets, to those that the configuration names.
void read_issued_keys(Config& config, std::vector<Fault>& faults);

}  // namespace sluice
