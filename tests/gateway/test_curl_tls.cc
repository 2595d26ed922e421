#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <boost/asio/ssl.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>

#include "gateway/curl_transport.h"
#include "tests/gateway/run_io.h"
#include "tests/gateway/scripted_upstream.h"

using namespace sluice;
using net::ip::tcp;

namespace {

std::string pem(auto write) {
    std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
    write(bio.get());
    char* bytes = nullptr;
    auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &bytes));
    return std::string(bytes, size);
}

struct Identity {
    std::string key;
    std::string certificate;
};

// A self-signed certificate for that address, valid for an hour.
Identity make_identity(const std::string& address) {
    std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    std::unique_ptr<X509, void (*)(X509*)> cert(X509_new(), X509_free);
    X509_set_version(cert.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3'600);
    X509_set_pubkey(cert.get(), key.get());
    X509_NAME* name = X509_get_subject_name(cert.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("upstream"), -1, -1, 0);
    X509_set_issuer_name(cert.get(), name);
    std::string alternative = "IP:" + address;
    std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative.c_str()),
        X509_EXTENSION_free);
    X509_add_ext(cert.get(), extension.get(), -1);
    X509_sign(cert.get(), key.get(), EVP_sha256());
    Identity identity;
    identity.key = pem([&](BIO* bio) {
        PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    identity.certificate = pem([&](BIO* bio) { PEM_write_bio_X509(bio, cert.get()); });
    return identity;
}

// Answers one request over TLS.
net::awaitable<void> serve_tls(tcp::acceptor& acceptor, net::ssl::context& context,
                               std::string& got) {
    constexpr auto use_tuple = net::as_tuple(net::use_awaitable);
    auto [ec, socket] = co_await acceptor.async_accept(use_tuple);
    if (ec) co_return;
    net::ssl::stream<tcp::socket> stream(std::move(socket), context);
    auto [ec2] = co_await stream.async_handshake(net::ssl::stream_base::server, use_tuple);
    if (ec2) co_return;
    auto [ec3, n] =
        co_await net::async_read_until(stream, net::dynamic_buffer(got), "\r\n\r\n", use_tuple);
    if (ec3) co_return;
    const std::string answer = fake::whole(200, "text/plain", "over tls");
    auto [ec4, m] = co_await net::async_write(stream, net::buffer(answer), use_tuple);
    if (ec4) co_return;
}

struct EnvironmentValue {  // for one test
    EnvironmentValue(const char* name, const std::string& value) : name_(name) {
        ::setenv(name, value.c_str(), 1);
    }
    ~EnvironmentValue() { ::unsetenv(name_); }
    const char* name_;
};

struct Outcome {
    std::string body;
    std::optional<Error> error;
    std::string request;
};

Outcome call_tls(const Identity& identity) {
    net::io_context io(1);
    net::ssl::context context(net::ssl::context::tls_server);
    context.use_certificate_chain(net::buffer(identity.certificate));
    context.use_private_key(net::buffer(identity.key), net::ssl::context::pem);
    tcp::acceptor acceptor(io, tcp::endpoint(net::ip::make_address("127.0.0.1"), 0));
    Outcome outcome;
    net::co_spawn(io, serve_tls(acceptor, context, outcome.request), net::detached);
    CurlTransport transport(io);
    fake::run_io(io, [&]() -> net::awaitable<void> {
        HttpCall call;
        call.url = "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()) + "/";
        call.headers = {"authorization: Bearer sk-secret"};
        auto stream = transport.start(std::move(call));
        auto at = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        Deadline deadline{at, "total_ms", 20'000};
        Status more = co_await stream->next(outcome.body, deadline);
        if (!more) outcome.error = more.error();
    });
    return outcome;
}

}  // namespace

TEST_CASE("an upstream with an unknown certificate never gets the key", "[curl]") {
    Outcome outcome = call_tls(make_identity("127.0.0.1"));
    REQUIRE(outcome.error);
    CHECK(outcome.error->code == Errc::upstream_failed);
    CHECK_THAT(outcome.error->message, Catch::Contains("certificate"));
    CHECK(outcome.request.empty());
}

TEST_CASE("SSL_CERT_FILE says whom to trust, for the right address only", "[curl]") {
    bool right = GENERATE(true, false);
    Identity identity = make_identity(right ? "127.0.0.1" : "127.0.0.2");
    auto path = std::filesystem::temp_directory_path() /
                ("sluice-test-ca-" + std::to_string(::getpid()) + ".pem");
    std::ofstream(path) << identity.certificate;
    EnvironmentValue trust("SSL_CERT_FILE", path.string());
    // No proxy is asked for a loopback address when NO_PROXY says so.
    EnvironmentValue proxy("HTTPS_PROXY", "http://127.0.0.1:1");
    EnvironmentValue direct("NO_PROXY", "127.0.0.1");
    Outcome outcome = call_tls(identity);
    std::filesystem::remove(path);
    if (right) {
        CHECK(!outcome.error);
        CHECK(outcome.body == "over tls");
        CHECK_THAT(outcome.request, Catch::Contains("Bearer sk-secret"));
    } else {
        REQUIRE(outcome.error);
        CHECK_THAT(outcome.error->message, Catch::Contains("127.0.0.1"));
        CHECK(outcome.request.empty());
    }
}

TEST_CASE("a proxy of the environment is used for https and not for http", "[curl]") {
    net::io_context io(1);
    fake::ScriptedUpstream peer(io);
    peer.add({{fake::whole(200, "text/plain", "direct")}});
    std::string proxy = peer.url("");
    EnvironmentValue lower("http_proxy", "http://127.0.0.1:1");
    EnvironmentValue all("ALL_PROXY", "http://127.0.0.1:1");
    EnvironmentValue https("HTTPS_PROXY", proxy);
    CurlTransport transport(io);
    auto run = [&](const std::string& url) {
        std::string body;
        fake::run_io(io, [&]() -> net::awaitable<void> {
            HttpCall call;
            call.url = url;
            auto stream = transport.start(std::move(call));
            auto at = std::chrono::steady_clock::now() + std::chrono::seconds(20);
            Deadline deadline{at, "total_ms", 20'000};
            Status more = co_await stream->next(body, deadline);
            if (!more) body = "error";
        });
        return body;
    };
    CHECK(run(peer.url()) == "direct");
    peer.add({{"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"}});
    CHECK(run("https://upstream.invalid/") == "error");
    REQUIRE(peer.requests.size() == 2);
    CHECK(peer.requests[1].starts_with("CONNECT upstream.invalid:443 HTTP/1.1\r\n"));
}
