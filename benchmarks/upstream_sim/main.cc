// sluice-upstream-sim: a stand-in for hosted upstreams. It speaks the OpenAI chat and Anthropic
// Messages wire formats, calls no model, says *simulated* in every answer, and is slow or broken on
// request (behaviour.h). For trying Sluice without keys, and for its tests.
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>

#include "benchmarks/upstream_sim/session.h"
#include "engine/log.h"

namespace sluice::sim {

namespace {

using net::ip::tcp;

net::awaitable<void> accept(tcp::acceptor& acceptor, Simulator& simulator) {
    for (;;) {
        auto [ec, socket] = co_await acceptor.async_accept(net::as_tuple(net::use_awaitable));
        if (ec == net::error::operation_aborted) co_return;
        if (ec) {  // out of descriptors: those in use come back
            co_await wait_us(10'000);
            continue;
        }
        net::co_spawn(acceptor.get_executor(), simulator.serve(std::move(socket)), net::detached);
    }
}

bool listen_on(tcp::acceptor& acceptor, const std::string& address) {
    std::size_t colon = address.rfind(':');
    boost::system::error_code ec;
    int port = -1;
    if (colon != std::string::npos) port = std::atoi(address.c_str() + colon + 1);
    auto ip = net::ip::make_address(address.substr(0, std::min(colon, address.size())), ec);
    if (ec || port < 0 || port > 65'535) {
        std::fprintf(stderr, "--listen: expected ADDRESS:PORT such as 127.0.0.1:8089, got '%s'\n",
                     address.c_str());
        return false;
    }
    tcp::endpoint at(ip, static_cast<unsigned short>(port));
    acceptor.open(at.protocol(), ec);
    if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor.bind(at, ec);
    if (!ec) acceptor.listen(net::socket_base::max_listen_connections, ec);
    if (ec)
        std::fprintf(stderr, "cannot listen on %s: %s\n", address.c_str(), ec.message().c_str());
    return !ec;
}

int run(const std::string& address, const Behaviour& defaults) {
    net::io_context io(1);
    tcp::acceptor acceptor(io);
    if (!listen_on(acceptor, address)) return 1;
    Simulator simulator(io.get_executor(), defaults);
    net::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](boost::system::error_code, int) { io.stop(); });
    tcp::endpoint at = acceptor.local_endpoint();
    std::string shown = at.address().to_string() + ":" + std::to_string(at.port());
    log_info("listening", {{"address", shown}, {"simulated", true}});
    net::co_spawn(io, accept(acceptor, simulator), net::detached);
    io.run();
    return 0;
}

}  // namespace

}  // namespace sluice::sim

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    CLI::App app("A simulated upstream: OpenAI chat and Anthropic Messages, no model behind it.",
                 "sluice-upstream-sim");
    app.footer("Example:\n  sluice-upstream-sim --listen 127.0.0.1:8089 --inter-token-ms 5");
    std::string address = "127.0.0.1:8089";
    bool exit_with_parent = false;
    std::int64_t reasoning_tokens = 0;
    sluice::sim::Behaviour defaults;
    app.add_option("--listen", address, "address and port; port 0 picks one")
        ->capture_default_str();
    app.add_option("--first-token-ms", defaults.first_token_ms, "wait before the first token");
    app.add_option("--inter-token-ms", defaults.inter_token_ms, "wait between tokens");
    app.add_option("--tokens", defaults.tokens, "tokens of an answer's text")
        ->capture_default_str();
    auto* reasoning = app.add_option("--reasoning-tokens", reasoning_tokens,
                                     "tokens of a thought; default 32 for models named reasoner");
    app.add_flag("--exit-with-parent", exit_with_parent, "end when the starting process does");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {  // CLI11 reports usage and --help by exception
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (reasoning->count() > 0) defaults.reasoning_tokens = reasoning_tokens;
    if (exit_with_parent) {
        pid_t parent = ::getppid();
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) return 0;  // it ended in between
    }
    return sluice::sim::run(address, defaults);
}
