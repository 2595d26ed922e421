#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "tests/gateway/test_site.h"

using namespace sluice;
using namespace sluice::testing;

TEST_CASE("a request is answered and the connection serves the next", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    for (int i = 0; i < 500; ++i) {
        std::string body = "body " + std::to_string(i);
        REQUIRE(client.send(post("/echo?a=1", body)));
        auto answer = client.answer();
        REQUIRE(answer.status == 200);
        CHECK(answer.body == "POST /echo?a=1 " + std::to_string(body.size()) + ":" + body);
        CHECK(answer.headers.count("connection") == 0);
        CHECK(answer.headers["content-type"] == "text/plain");
        CHECK(answer.headers.count("date") == 1);
    }
    CHECK(site.served == 500);
    CHECK(site.server().connections() == 1);
}

TEST_CASE("a request that comes byte by byte is whole", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    std::string chunked =
        "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "5;name=\"v\"\r\nhello\r\n00000006\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n";
    for (const std::string& bytes : {post("/echo", "some body"), get("/hello"), chunked}) {
        for (char byte : bytes) REQUIRE(client.send(std::string_view(&byte, 1)));
        auto answer = client.answer();
        CHECK(answer.status == 200);
        CHECK(answer.whole);
    }
}

TEST_CASE("a request cut in two at any place is whole", "[connection]") {
    TestSite site;
    std::string chunked =
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\na;x\r\n0123456789\r\n0\r\nA: b\r\n\r\n";
    for (const std::string& bytes : {post("/echo", "0123456789"), "\r\n" + chunked}) {
        for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
            RawClient client(site.port());
            REQUIRE(client.send(bytes.substr(0, cut)));
            // Another connection's round trip lets the first half arrive alone.
            RawClient other(site.port());
            REQUIRE(other.send(get("/hello")));
            REQUIRE(other.answer().status == 200);
            REQUIRE(client.send(bytes.substr(cut)));
            auto answer = client.answer();
            REQUIRE(answer.status == 200);
            bool plain = bytes[0] == 'P';
            CHECK(answer.body ==
                  (plain ? "POST /echo? 10:0123456789" : "POST /echo? 13:abc0123456789"));
        }
    }
}

TEST_CASE("a stream goes out one chunk a write", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(client.send(post("/stream", "{}")));
        auto answer = client.answer();
        CHECK(answer.status == 200);
        CHECK(answer.chunks == 10);
        CHECK(answer.whole);
        CHECK(answer.body.starts_with("piece 0;piece 1;"));
        CHECK(answer.headers["content-type"] == "text/event-stream");
    }
}

TEST_CASE("HTTP/1.0 gets whole answers, and streams without chunks", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    REQUIRE(client.send("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    auto kept = client.answer();
    CHECK(kept.headers["connection"] == "keep-alive");
    REQUIRE(client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    auto streamed = client.answer();
    CHECK(streamed.headers.count("transfer-encoding") == 0);
    CHECK(streamed.headers["connection"] == "close");
    CHECK(streamed.body.ends_with("piece 9;"));
    RawClient plain(site.port());
    REQUIRE(plain.send("GET /hello HTTP/1.0\r\n\r\n"));
    CHECK(plain.answer().headers["connection"] == "close");
    CHECK(plain.closed());
}

TEST_CASE("HEAD is served as GET without the body", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    REQUIRE(client.send("HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n"));
    auto whole = client.answer(true);
    CHECK(whole.status == 200);
    CHECK(whole.headers["content-length"] == "5");
    REQUIRE(client.send("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n"));
    auto stream = client.answer(true);
    CHECK(stream.headers["transfer-encoding"] == "chunked");
    REQUIRE(client.send(get("/hello")));
    CHECK(client.answer().body == "hello");
}

TEST_CASE("Connection: close is kept, in a list and in any case", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    REQUIRE(client.send(get("/hello", "Connection: TE, Close\r\n")));
    auto answer = client.answer();
    CHECK(answer.headers["connection"] == "close");
    CHECK(client.closed());
}

TEST_CASE("100 Continue comes after an accepted head and before the body", "[connection]") {
    ServerLimits limits;
    limits.body_bytes_max = 1000;
    TestSite site(limits);
    RawClient client(site.port());
    REQUIRE(
        client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n"
                    "Expect: 100-Continue\r\n\r\n"));
    CHECK(client.answer().status == 100);
    CHECK(site.served == 0);
    REQUIRE(client.send("body"));
    CHECK(client.answer().body == "POST /echo? 4:body");

    REQUIRE(
        client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n"
                    "Expect: 100-continue\r\n\r\n"));
    CHECK(client.answer().status == 413);
    CHECK(client.closed());

    RawClient other(site.port());
    REQUIRE(
        other.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n"
                   "Expect: a-miracle\r\n\r\n"));
    CHECK(other.answer().status == 417);
    CHECK(other.closed());
    CHECK(site.served == 1);
}

TEST_CASE("what is over its limit is refused with the limit in words", "[connection]") {
    ServerLimits limits;
    limits.header_bytes_max = 1000;
    limits.body_bytes_max = 100;
    TestSite site(limits);
    struct Case {
        std::string bytes;
        int status;
        std::string says;
    };
    std::string long_header = "X-Long: " + std::string(2000, 'a') + "\r\n";
    std::string many_headers;
    for (int i = 0; i < 130; ++i) many_headers += "a:\r\n";
    std::string chunked = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    std::vector<Case> cases = {
        {get("/hello", long_header), 431, "1000 bytes"},
        {"GET /" + std::string(5000, 'a'), 431, "1000 bytes"},
        {get("/hello", many_headers), 431, "128 headers"},
        {post("/echo", std::string(101, 'b')), 413, "101 bytes is over the limit of 100"},
        {chunked + "65\r\n" + std::string(101, 'b') + "\r\n0\r\n\r\n", 413, "100 bytes"},
        {chunked + "40\r\n" + std::string(64, 'b') + "\r\n40\r\n" + std::string(64, 'b'), 413,
         "100 bytes"},
        {chunked + "1;" + std::string(1200, 'x') + "\r\nb\r\n0\r\n\r\n", 413, "extensions"},
        {chunked + "1;" + std::string(5000, 'x') + "\r\nb\r\n0\r\n\r\n", 400, "too long"},
        {chunked + "0\r\nT: " + std::string(1200, 'x') + "\r\n\r\n", 413, "trailers"},
    };
    for (const Case& each : cases) {
        RawClient client(site.port());
        client.send(each.bytes);
        auto answer = client.answer();
        INFO(each.bytes.substr(0, 60));
        CHECK(answer.status == each.status);
        CHECK(answer.body.find(each.says) != std::string::npos);
        CHECK(answer.headers["connection"] == "close");
        CHECK(client.closed());
    }
    CHECK(site.served == 0);
}

TEST_CASE("an answer to a refused body survives the bytes still coming", "[connection]") {
    ServerLimits limits;
    limits.body_bytes_max = 1'000'000;
    TestSite site(limits);
    RawClient client(site.port());
    REQUIRE(client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1000001\r\n\r\n"));
    for (int i = 0; i < 9; ++i) REQUIRE(client.send(std::string(100'000, 'b')));
    CHECK(client.answer().status == 413);
}

TEST_CASE("requests that parsers could disagree about are refused", "[connection]") {
    TestSite site;
    std::string chunked = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    std::vector<std::string> refused = {
        post("/echo", "abcd", "Content-Length: 5\r\n"),
        post("/echo", "abcd", "Content-Length: 4\r\n"),
        post("/echo", "abcd", "Transfer-Encoding: chunked\r\n"),
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1,1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: +1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 0x1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551617\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length : 1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\nX-Folded: a\r\n b\r\n\r\n",
        "GET /hello HTTP/1.1\r\n Host: t\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: t\n\n",
        "GET /hello HTTP/1.1\r\nHost: t\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n",
        std::string("GET /hello HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", 40),
        "GET /hello HTTP/1.1\r\nHost: t\r\nNo colon\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\n: empty\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer "
        "b\r\n\r\n",
        "GET /hello HTTP/1.2\r\nHost: t\r\n\r\n",
        "GET /hello HTTP/2.0\r\nHost: t\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /hello http/1.1\r\nHost: t\r\n\r\n",
        "GET  /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /hello HTTP/1.1 \r\nHost: t\r\n\r\n",
        "GET /hello\r\n\r\n",
        "G@T /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /he%0allo HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /he%zz HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /he%4 HTTP/1.1\r\nHost: t\r\n\r\n",
        "\r\n\r\nGET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
        "\x16\x03\x01\x02",
        "{\"model\": 1}",
        chunked + "g\r\n",
        chunked + "-1\r\n",
        chunked + "\r\n",
        chunked + "000000001\r\na\r\n",
        chunked + "1\na\r\n0\r\n\r\n",
        chunked + "1 x\r\na\r\n0\r\n\r\n",
        chunked + "1\r\nab\r\n0\r\n\r\n",
        chunked + "1\r\na\n0\r\n\r\n",
        chunked + "0\r\nbad trailer\r\n\r\n",
    };
    for (const std::string& bytes : refused) {
        INFO(bytes);
        RawClient client(site.port());
        client.send(bytes);
        auto answer = client.answer();
        CHECK(answer.status == 400);
        CHECK(answer.body.starts_with(R"({"error":{"message":")"));
        CHECK(answer.headers["connection"] == "close");
        CHECK(client.closed());
    }
    CHECK(site.served == 0);
}

TEST_CASE("a refusal under /v1/messages is in Anthropic's envelope", "[connection]") {
    TestSite site;
    RawClient client(site.port());
    REQUIRE(client.send(post("/v1/messages", "x", "Content-Length: 1\r\n")));
    auto answer = client.answer();
    CHECK(answer.body.starts_with(R"({"type":"error","error":{"type":"invalid_request_error")"));
    CHECK(answer.body.find(answer.headers["x-request-id"]) != std::string::npos);
}

TEST_CASE("unusual but lawful requests are served", "[connection]") {
    TestSite site;
    std::vector<std::pair<std::string, std::string>> served = {
        {"GET http://example.com/echo?x=%20y HTTP/1.1\r\nHost: t\r\n\r\n", "GET /echo?x=%20y 0:"},
        {"GET /%65cho HTTP/1.1\r\nHost: t\r\n\r\n", "GET /echo? 0:"},
        {"\r\nGET /echo HTTP/1.1\r\nhOST:\r\n\r\n", "GET /echo? 0:"},
        {"GET /echo HTTP/1.1\r\nHost: t\r\nX-Bytes: \xC3\xA4\t\xFF\r\n\r\n", "GET /echo? 0:"},
        {"GET /echo? HTTP/1.1\r\nHost:\t t \t\r\nEmpty:\r\n\r\n", "GET /echo? 0:"},
        {"POST /echo HTTP/1.1\r\nHost: t\r\n\r\n", "POST /echo? 0:"},
        {"DELETE /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", "DELETE /echo? 0:"},
        {"PUT /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nA ; e=1\r\n"
         "0123456789\r\n000\r\n\r\n",
         "PUT /echo? 10:0123456789"},
    };
    RawClient client(site.port());  // one connection for all: each ends where it should
    for (const auto& [bytes, text] : served) {
        INFO(bytes);
        REQUIRE(client.send(bytes));
        auto answer = client.answer();
        CHECK(answer.status == 200);
        CHECK(answer.body == text);
    }
}

TEST_CASE("bytes that come before the answer end the connection after it", "[connection]") {
    TestSite site;
    SECTION("in the same packet") {
        RawClient client(site.port());
        REQUIRE(client.send(get("/hello") + get("/echo")));
        auto answer = client.answer();
        CHECK(answer.body == "hello");
        CHECK(answer.headers["connection"] == "close");
        CHECK(client.closed());
        CHECK(site.served == 1);
    }
    SECTION("while a stream is under way") {
        RawClient client(site.port());
        REQUIRE(client.send(get("/gate")));
        auto answer = client.answer(true);
        CHECK(answer.headers.count("connection") == 0);
        CHECK(client.chunk() == "first");
        REQUIRE(client.send(get("/hello")));
        RawClient other(site.port());  // its round trip lets the bytes arrive
        REQUIRE(other.send(get("/hello")));
        REQUIRE(other.answer().status == 200);
        site.open_gate();
        CHECK(client.chunk() == "second");
        CHECK(client.chunk() == "");
        CHECK(client.closed());
        CHECK(site.served == 2);
    }
}
