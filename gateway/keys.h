// Virtual keys: SHA-256 (policies/sha256.h) of the secret -> caller. Immutable snapshot; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"
#include "providers/caller.h"

namespace sluice {

struct VirtualKey {
    std::string id;
    std::string sha256;  // 64 lower-case hex digits of the SHA-256 of the secret
    Caller caller;
    bool loopback_only = false;
    std::string expires;  // YYYY-MM-DD, "" = never
    bool issued = false;  // by command (key_file.h), not by the configuration
};

// Whom shadow answers (learning/shadow.h) are booked on; no key proves it.
inline Caller shadow_caller(const std::string& org) { return {org, "shadow", "shadow", "", false}; }
// Whose budgets hold them: BudgetSection::by_key has those of each org's under this name.
inline Caller shadow_payer(const std::string& org) {
    return {org, "shadow", org.empty() ? "shadow" : "shadow of " + org, "", false};
}

class KeyRing {
public:
    KeyRing() = default;
    explicit KeyRing(std::vector<VirtualKey> keys);
    std::size_t size() const { return keys_.size(); }
    const std::vector<VirtualKey>& all() const { return keys_; }

    // `authorization` is the header's value ("Bearer sk-..."), or the bare secret (x-api-key).
    // Compares digests in constant time. Errors: unauthorized, saying what was missing or wrong,
    // never the key; forbidden for a loopback-only key used from elsewhere.
    Result<Caller> authenticate(std::string_view authorization, bool from_loopback) const;
    // For /admin. Errors: likewise; forbidden for a key without `admin: true`.
    Result<Caller> authenticate_administrator(std::string_view authorization,
                                              bool from_loopback) const;

private:
    std::vector<VirtualKey> keys_;  // sorted by sha256
};

}  // namespace sluice
