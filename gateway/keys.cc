#include "gateway/keys.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <ctime>

#include "policies/sha256.h"

namespace sluice {
namespace {

// Today's UTC date as YYYY-MM-DD: dates of that form compare as text.
std::string today() {
    std::time_t now = std::time(nullptr);
    std::tm parts;
    gmtime_r(&now, &parts);
    char text[16];
    std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
    return std::string(text, size);
}

bool starts_with_bearer(std::string_view text) {
    constexpr std::string_view word = "bearer";
    if (text.size() < word.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i)
        if ((text[i] | 0x20) != word[i]) return false;
    return text.size() == word.size() || text[word.size()] == ' ';
}

std::string_view secret_of(std::string_view authorization) {
    if (starts_with_bearer(authorization)) authorization.remove_prefix(6);
    while (authorization.starts_with(' ')) authorization.remove_prefix(1);
    while (authorization.ends_with(' ')) authorization.remove_suffix(1);
    return authorization;
}

}  // namespace

KeyRing::KeyRing(std::vector<VirtualKey> keys) : keys_(std::move(keys)) {
    auto by_digest = [](const VirtualKey& a, const VirtualKey& b) { return a.sha256 < b.sha256; };
    std::sort(keys_.begin(), keys_.end(), by_digest);
}

Result<Caller> KeyRing::authenticate(std::string_view authorization, bool from_loopback) const {
    std::string_view secret = secret_of(authorization);
    if (secret.empty())
        return Error(Errc::unauthorized,
                     "No API key was given. Send a virtual key of this gateway in the header "
                     "'Authorization: Bearer YOUR_KEY' (or 'x-api-key: YOUR_KEY').");
    std::string digest = sha256_hex(secret);
    auto before = [](const VirtualKey& key, const std::string& wanted) {
        return key.sha256 < wanted;
    };
    auto found = std::lower_bound(keys_.begin(), keys_.end(), digest, before);
    // The search's time tells at most about digests, from which no secret can be had; the
    // comparison that decides takes the same time for all.
    bool same = found != keys_.end() && found->sha256.size() == digest.size() &&
                CRYPTO_memcmp(found->sha256.data(), digest.data(), digest.size()) == 0;
    if (!same)
        return Error(Errc::unauthorized,
                     "The API key is not known here. Check that it is a virtual key of this "
                     "gateway (not a vendor's key), complete and not revoked.");
    if (!found->expires.empty() && found->expires <= today())
        return Error(Errc::unauthorized, "The API key '" + found->id + "' expired on " +
                                             found->expires + ". Ask for a new one.");
    if (found->loopback_only && !from_loopback)
        return Error(Errc::forbidden, "The API key '" + found->id +
                                          "' works only from the machine that the gateway runs on "
                                          "(loopback). Use a key of your own.");
    return found->caller;
}

Result<Caller> KeyRing::authenticate_administrator(std::string_view authorization,
                                                   bool from_loopback) const {
    auto caller = authenticate(authorization, from_loopback);
    if (!caller || caller->admin) return caller;
    return Error(Errc::forbidden,
                 "this key is no administrator's: the configuration's key needs 'admin: true'");
}

}  // namespace sluice
