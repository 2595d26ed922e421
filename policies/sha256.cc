#include "policies/sha256.h"

#include <openssl/evp.h>

#include <cassert>
#include <cstddef>
#include <memory>

namespace sluice {

namespace {

struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Looking the algorithm up and making a context costs several times what a short text's digest
// does, and every request has a key to digest.
EVP_MD_CTX* thread_context() {
    thread_local std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
    return context.get();
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_MD_CTX* context = thread_context();
    // Fails only when OpenSSL has no SHA-256 at all: our bug in packaging, not an input's.
    [[maybe_unused]] bool done = EVP_DigestInit_ex2(context, sha256, nullptr) == 1 &&
                                 EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1 &&
                                 EVP_DigestFinal_ex(context, digest, &size) == 1;
    assert(done && size == 32);
    static constexpr char digits[] = "0123456789abcdef";
    std::string out(std::size_t{size} * 2, '0');
    for (std::size_t i = 0; i < size; ++i) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    return out;
}

}  // namespace sluice
