#include "policies/sha256.h"

#include <openssl/evp.h>

#include <cassert>

namespace sluice {

std::string sha256_hex(std::string_view bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    // Fails only when OpenSSL has no SHA-256 at all: our bug in packaging, not an input's.
    [[maybe_unused]] int done =
        EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
    assert(done == 1 && size == 32);
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(64);
    for (unsigned int i = 0; i < size; ++i) {
        out += digits[digest[i] >> 4];
        out += digits[digest[i] & 15];
    }
    return out;
}

}  // namespace sluice
