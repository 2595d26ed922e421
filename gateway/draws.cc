#include "gateway/draws.h"

#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "engine/log.h"
#include "gateway/learning/state_file.h"
#include "gateway/random_bytes.h"

namespace sluice {
namespace {

constexpr std::size_t word_digits = 16;  // of a secret's word, in hexadecimal

double share(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// A machine without random numbers is broken: dice that can be foretold are none.
template <std::size_t count>
std::array<std::uint64_t, count> random_words() {
    std::array<std::uint64_t, count> words{};
    if (!random_bytes(words.data(), sizeof words)) {
        log_error("no_random_bytes", {{"message", std::strerror(errno)}});  // NOLINT: ends here
        std::abort();
    }
    return words;
}

std::uint64_t fresh() {
    thread_local std::mt19937_64 random = [] {
        auto words = random_words<4>();
        std::seed_seq seed(words.begin(), words.end());
        return std::mt19937_64(seed);
    }();
    return random();
}

std::string text_of(const Draws::Secret& secret) {
    char text[2 * word_digits + 2];
    std::snprintf(text, sizeof text, "%016llx%016llx\n", static_cast<unsigned long long>(secret[0]),
                  static_cast<unsigned long long>(secret[1]));
    return text;
}

bool read_secret(std::string_view text, Draws::Secret& out) {
    if (text.size() != 2 * word_digits + 1) return false;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const char* at = text.data() + i * word_digits;
        auto read = std::from_chars(at, at + word_digits, out[i], 16);
        if (read.ptr != at + word_digits || read.ec != std::errc()) return false;
    }
    return true;
}

// The four words of SipHash's state.
struct Sip {
    std::uint64_t a, b, c, d;
    void round() {
        a += b;
        b = std::rotl(b, 13) ^ a;
        a = std::rotl(a, 32);
        c += d;
        d = std::rotl(d, 16) ^ c;
        a += d;
        d = std::rotl(d, 21) ^ a;
        c += b;
        b = std::rotl(b, 17) ^ c;
        c = std::rotl(c, 32);
    }
    void word(std::uint64_t value) {
        d ^= value;
        round();
        round();
        a ^= value;
    }
};

}  // namespace

std::uint64_t keyed_hash(const Draws::Secret& key, std::string_view text) {
    Sip sip{key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D, key[0] ^ 0x6C7967656E657261,
            key[1] ^ 0x7465646279746573};
    std::uint64_t last = std::uint64_t{text.size()} << 56;
    for (; text.size() >= 8; text.remove_prefix(8)) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data(), 8);
        sip.word(word);
    }
    for (std::size_t i = 0; i < text.size(); ++i)
        last |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    sip.word(last);
    sip.c ^= 0xFF;
    for (int i = 0; i < 4; ++i) sip.round();
    return sip.a ^ sip.b ^ sip.c ^ sip.d;
}

Draws::Draws() : secret_(random_words<2>()) {}

std::string Draws::path_beside(const std::string& ledger_url) {
    constexpr std::string_view scheme = "sqlite:";
    bool file = ledger_url.starts_with(scheme) && ledger_url.size() > scheme.size();
    return file ? ledger_url.substr(scheme.size()) + ".secret" : "";
}

std::optional<Draws> Draws::read(const std::string& path) {
    Secret secret{};
    auto text = read_state_file(path);
    if (!text || !read_secret(*text, secret)) return {};
    return Draws(secret);
}

Draws Draws::kept(const std::string& path) {
    if (path.empty()) return Draws();
    auto text = read_state_file(path);
    Secret secret{};
    if (text && read_secret(*text, secret)) return Draws(secret);
    bool damaged = !text || !text->empty();
    Draws out;
    Status written = damaged ? Status(Error(Errc::bad_file, path + ": expected 32 hex digits"))
                             : write_state_file(path, text_of(out.secret_));
    if (!written)
        log_error("draws_not_kept", {{"message", written.error().message},
                                     {"instead", "conversations may change sides at a restart"}});
    return out;
}

RequestDraws Draws::of(const Caller& caller, std::string_view session_id) const {
    RequestDraws out;
    out.explore = share(fresh());
    out.shadow = share(fresh());
    if (session_id.empty()) {
        out.policy = share(fresh());
        out.canary = share(fresh());
        return out;
    }
    std::string name;
    for (std::string_view part :
         {std::string_view(caller.org), std::string_view(caller.team), session_id}) {
        name += part;
        name += '\x1f';
    }
    out.policy = share(keyed_hash(secret_, name + "policy"));
    out.canary = share(keyed_hash(secret_, name + "canary"));
    return out;
}

}  // namespace sluice
