// The virtual keys that `sluice keys` makes: a file beside the ledger, LEDGER.keys, a line of JSON
// a key, replaced whole. A running gateway takes a change up within a second. It holds digests,
// never a secret. A key that was revoked stays in it, so that its id is not given again.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

struct Config;
struct Fault;
struct VirtualKey;

struct IssuedKey {
    std::string id;
    std::string team, user;
    std::string sha256;              // of the secret
    std::string created;             // 2026-11-22T10:15:00Z
    std::string revoked;             // likewise; "" = in force
    std::string budget_usd, window;  // day, month or total; both "" = no budget of its own
    std::string org = {};            // "" = that of the configuration's keys of its team
};

class KeyFile {
public:
    explicit KeyFile(std::string path) : path_(std::move(path)) {}
    const std::string& path() const { return path_; }
    // Errors: bad_file with file and line. A line that cannot be read is an error: it may revoke.
    Result<std::vector<IssuedKey>> read() const;
    // `unsynced`: as in learning/state_file.h.
    Status write(const std::vector<IssuedKey>& keys, std::string* unsynced = nullptr) const;

private:
    std::string path_;
};

// Why a key cannot be in force beside others, or "".
std::string fault_of(const IssuedKey& key, const std::vector<VirtualKey>& others);

// Adds the keys in force, and their budgets, to those that the configuration names. A key that
// names no org is of the one that the configuration's keys of its team are of; of none where the
// team has no others.
void read_issued_keys(Config& config, std::vector<Fault>& faults);

// Where a configuration has its file of keys. No more of it is read: a key can be ended whatever
// else is wrong there.
struct KeyPlace {
    std::string path;
    std::vector<IssuedKey> configured;  // the configuration's own keys: id, team, user, org
};
Result<KeyPlace> find_key_file(const std::string& config_file);  // Errors: bad_config

// The same configuration without the keys that the file has ended since, and with the new secrets
// of those that it has turned: for a gateway that cannot take the rest of a change. nullptr where
// that changes nothing. Keys that are new are not in it. Errors: the file's.
Result<std::shared_ptr<const Config>> without_ended_keys(const Config& now);

}  // namespace sluice
