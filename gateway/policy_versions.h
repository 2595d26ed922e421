// The policies that have been live, kept whole beside the ledger, so that any of them can be live
// again at once: a folder with
//   VERSION.json        the policy's files, byte for byte
//   activations.jsonl   what became live when, why, and whose it is: a line each, the last 1,000
//   rollback.json       the rollback in force, if one is
// A rollback says: where the policy file has version `from`, `to` is live. Another version in the
// file ends it, so a fix that is merged takes effect by itself.
//
// Written by `sluice serve` (main thread) and `sluice policy`; each file is replaced whole, synced
// before it takes its name. One that is damaged all the same is named and goes no further: a line
// or a copy that cannot be read is left out, and written anew where it is what serves.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "policies/policy.h"

namespace sluice {

struct PolicyActivation {
    std::string at;  // 2026-11-22T10:15:00Z
    std::string version;
    std::string owner;
    std::string file;
    std::string what;  // "live", "canary 5 %", "shadow"
    std::string why;   // "start", "reload", "rollback by ...: ..."
};

struct PolicyRollback {
    std::string from, to;  // versions
    std::string by, why, at;
    // Of what is withdrawn, without its teams' files: they may change and it stays withdrawn.
    std::string company = {};
};

struct KeptPolicy {
    std::string version;
    std::vector<std::pair<std::string, std::string>>
        files;  // path and text, the policy's own first
    PolicyLoader loader() const;
};

class PolicyVersions {
public:
    explicit PolicyVersions(std::string folder) : folder_(std::move(folder)) {}
    std::string rollback_file() const { return folder_ + "/rollback.json"; }

    // Keeps the policy's files and notes that it is active, unless the last note of its kind says
    // the same. `at` is filled in. Errors: bad_file.
    Status note(const Policy& policy, const std::string& what, const std::string& why);
    // Oldest first. Lines that cannot be read are left out, and named in `torn`.
    Result<std::vector<PolicyActivation>> activations(
        std::vector<std::string>* torn = nullptr) const;
    // The last one that was live, but for this version; none where nothing can be read.
    std::optional<PolicyActivation> last_live(const std::string& but = "") const;
    // `version` may be the beginning of one. Errors: bad_file with those that there are, or that
    // its copy is damaged.
    Result<KeptPolicy> kept(const std::string& version) const;

    Result<std::optional<PolicyRollback>> rollback() const;
    Status roll_back(PolicyRollback rollback);
    Status resume();  // the file decides again

    // What of the folder cannot be read or has been changed, a sentence each with the file's name.
    std::vector<std::string> damage() const;

private:
    Status replace(const std::string& name, const std::string& bytes) const;
    Status keep(const Policy& policy) const;
    std::string folder_;
};

}  // namespace sluice
