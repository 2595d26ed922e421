// The dice of a request: which side of a canary it is on, whether a tier is tried or a shadow
// answer made. No caller may choose them: what a conversation's name decides is keyed with a
// secret, and the rest is drawn anew for each request. Any thread, no lock.
//
// The secret lies beside the ledger, so that conversations keep their sides over a restart; copied
// to other gateways they agree there, too.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "providers/caller.h"

namespace sluice {

// Each in [0, 1); 1: takes part in nothing.
struct RequestDraws {
    double policy = 1;   // of a candidate policy's share
    double canary = 1;   // of a rule's
    double explore = 1;  // across a threshold
    double shadow = 1;
};

class Draws {
public:
    using Secret = std::array<std::uint64_t, 2>;
    Draws();  // a secret that ends with the process
    explicit Draws(const Secret& secret) : secret_(secret) {}
    // The secret of this file, which is made where there is none. A file that cannot be read or
    // made is told in the log.
    static Draws kept(const std::string& path);
    static std::optional<Draws> read(const std::string& path);      // nothing is made
    static std::string path_beside(const std::string& ledger_url);  // "" without a file

    // `policy` and `canary` are the same for all of a team's conversation of this name.
    RequestDraws of(const Caller& caller, std::string_view session_id) const;

private:
    Secret secret_;
};

// SipHash-2-4 (Aumasson and Bernstein, 2012): what it gives for a text is not to be foretold
// without the key.
std::uint64_t keyed_hash(const Draws::Secret& key, std::string_view text);

}  // namespace sluice
