// What peers and a damaged disk send to the gateway's readers: whatever comes is a value or an
// Error, and the same in any cut.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gateway/http_chunks.h"
#include "gateway/http_head.h"
#include "gateway/http_response.h"
#include "gateway/key_file.h"
#include "gateway/keys.h"
#include "tests/fakes/mutated.h"

namespace sluice {
namespace {

constexpr std::string_view http_harm[] = {"\r\n",
                                          "\n",
                                          "\r\n\r\n",
                                          ":",
                                          ";",
                                          "0\r\n\r\n",
                                          "5\r\nhello\r\n",
                                          "ffffffffffffffff",
                                          "7fffffffffffffff\r\n",
                                          "HTTP/1.1 100 Continue\r\n\r\n",
                                          "Content-Length: 5\r\n",
                                          "content-length: 18446744073709551616\r\n",
                                          "Transfer-Encoding: chunked\r\n",
                                          "Retry-After: 99999999999999\r\n",
                                          "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
                                          "Connection: close\r\n",
                                          "204",
                                          "\xFF"};

// Feeds all of `bytes`, in pieces of 1 to 5 bytes where `random` is given.
template <class Feed>
bool feed_all(std::string_view bytes, std::mt19937* random, Feed feed) {
    while (!bytes.empty()) {
        const std::size_t count =
            random ? std::min<std::size_t>(bytes.size(), 1 + (*random)() % 5) : bytes.size();
        if (!feed(bytes.substr(0, count))) return false;
        bytes.remove_prefix(count);
    }
    return true;
}

struct Answered {
    bool good = false, done = false, ended_well = false;
    int status = 0;
    std::string body;
};

Answered answered(std::string_view bytes, std::mt19937* random) {
    ResponseReader reader;
    Answered out;
    out.good = feed_all(bytes, random, [&](std::string_view piece) {
        return reader.feed(piece, out.body).has_value();
    });
    out.done = out.good && reader.done();
    out.status = reader.headed() ? reader.head().status : 0;
    out.ended_well = out.good && reader.end().has_value();
    return out;
}

}  // namespace

TEST_CASE("a mutated answer of an upstream reads the same in any cut", "[hostile]") {
    const std::string seeds[] = {
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        "5;a=\"b\"\r\nhello\r\na\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 429 No\r\nretry-after: 7\r\n"
        "content-length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nall of it", "HTTP/1.1 204 None\r\n\r\n"};
    std::mt19937 random(1);
    int good = 0;
    for (int round = 0; round < 4'000; ++round) {
        const std::string bytes = mutated(seeds[random() % std::size(seeds)], http_harm, random);
        INFO(bytes);
        const Answered whole = answered(bytes, nullptr), cut = answered(bytes, &random);
        REQUIRE(whole.good == cut.good);
        if (!whole.good) continue;
        ++good;
        REQUIRE(whole.body == cut.body);
        REQUIRE(whole.status == cut.status);
        REQUIRE(whole.done == cut.done);
        REQUIRE(whole.ended_well == cut.ended_well);
    }
    CHECK(good > 500);
    CHECK(good < 3'500);
}

TEST_CASE("a mutated request's head and chunks are read or refused, the same in any cut",
          "[hostile]") {
    const std::string head =
        "POST /v1/chat/completions?a=%20b HTTP/1.1\r\nHost: t\r\nConnection: keep-alive\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-A: b\r\n\r\n";
    const std::string body = "5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n";
    std::mt19937 random(2);
    int heads = 0, bodies = 0;
    for (int round = 0; round < 4'000; ++round) {
        const std::string first = mutated(head, http_harm, random);
        INFO(first);
        std::size_t scanned = 0;
        auto bytes = head_bytes(first, scanned);
        if (bytes && *bytes > 0) {
            REQUIRE(*bytes <= first.size());
            HttpRequest request;
            heads += read_head(std::string_view(first).substr(0, *bytes), request) ? 1 : 0;
        }
        const std::string rest = mutated(body, http_harm, random);
        INFO(rest);
        std::string texts[2];
        bool good[2] = {}, done[2] = {};
        for (int cut = 0; cut < 2; ++cut) {
            ChunkReader reader(100, 60);
            good[cut] = feed_all(rest, cut == 1 ? &random : nullptr, [&](std::string_view piece) {
                return reader.done() || reader.feed(piece, texts[cut]).has_value();
            });
            done[cut] = reader.done();
            REQUIRE(texts[cut].size() <= 100);
        }
        REQUIRE(good[0] == good[1]);
        REQUIRE(done[0] == done[1]);
        if (!good[0]) continue;
        REQUIRE(texts[0] == texts[1]);
        bodies += done[0] ? 1 : 0;
    }
    CHECK(heads > 300);
    CHECK(bodies > 300);
}

TEST_CASE("a mutated file of keys is read or refused by its line, and comes back as it was read",
          "[hostile]") {
    char pattern[] = "/tmp/sluice-hostile-XXXXXX";
    const std::string folder = mkdtemp(pattern);
    constexpr std::string_view harm[] = {"\"", "\\", "{",  "}",    ",",       ":",      "null",
                                         "\n", "[",  "\r", "\xFF", "\\u0000", "\\ud800"};
    std::vector<IssuedKey> keys(2);
    keys[0] = {"key_a", "search", "ann \"\\ \n", std::string(64, 'a'), "2026-11-22T10:15:00Z",
               "",      "1.50",   "day"};
    keys[1] = keys[0];
    keys[1].id = "key_b";
    const KeyFile file(folder + "/ledger.db.keys"), again(folder + "/again.keys");
    REQUIRE(file.write(keys));
    std::ifstream in(file.path(), std::ios::binary);
    const std::string good(std::istreambuf_iterator<char>(in), {});
    std::mt19937 random(3);
    int refused = 0;
    for (int round = 0; round < 600; ++round) {
        std::ofstream(file.path(), std::ios::binary) << mutated(good, harm, random);
        auto read = file.read();
        if (!read) {
            ++refused;
            CHECK(read.error().code == Errc::bad_file);
            CHECK(read.error().message.starts_with(file.path() + ":"));
            continue;
        }
        if (round % 10 != 0) continue;  // a write waits for the disk
        REQUIRE(again.write(*read));
        auto back = again.read();
        REQUIRE(back);
        REQUIRE(back->size() == read->size());
        for (std::size_t i = 0; i < read->size(); ++i) {
            CHECK((*back)[i].id == (*read)[i].id);
            CHECK((*back)[i].user == (*read)[i].user);
            CHECK((*back)[i].sha256 == (*read)[i].sha256);
        }
    }
    CHECK(refused > 200);
    CHECK(refused < 600);
    std::filesystem::remove_all(folder);
}

}  // namespace sluice
