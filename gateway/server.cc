#include "gateway/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/log.h"
#include "gateway/connection.h"
#include "gateway/handover.h"
#include "gateway/http_answer.h"
#include "gateway/refusal.h"

namespace sluice {
namespace {

using Acceptor = net::basic_socket_acceptor<net::ip::tcp, net::io_context::executor_type>;
using Timer = net::basic_waitable_timer<Connection::Clock, net::wait_traits<Connection::Clock>,
                                        net::io_context::executor_type>;
using std::chrono::milliseconds;

constexpr int backlog = 4096;
constexpr milliseconds accept_pause(100);  // after a failed accept: out of descriptors
constexpr milliseconds cut_grace(2'000);   // for stopped requests to return

thread_local int io_thread_index = -1;

// Open connections of all io threads; lets drain() wait for the last.
struct Census {
    std::atomic<std::size_t> open{0};
    std::mutex mutex;
    std::condition_variable changed;  // told at 0 only

    void leave() {
        if (open.fetch_sub(1) != 1) return;
        std::lock_guard lock(mutex);
        changed.notify_all();
    }
    bool wait_empty(milliseconds limit) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, limit, [this] { return open.load() == 0; });
    }
};

std::vector<std::shared_ptr<Connection>> all_of(IoThread& io) {
    std::vector<std::shared_ptr<Connection>> all;
    for (Connection* connection : io.connections) all.push_back(connection->shared_from_this());
    return all;
}

// One io thread with its acceptor and its clock.
struct Lane {
    Lane(const ServerLimits& limits, Census& census_in)
        : census(census_in), io(limits), clock(io.context.get_executor()) {}

    Census& census;
    IoThread io;
    std::deque<Acceptor> acceptors;  // one, unless more sockets were inherited than there are lanes
    Timer clock;
    bool clock_runs = false;
    std::thread thread;
};

milliseconds tick_of(const ServerLimits& limits) {
    int least = std::min({limits.header_ms, limits.body_ms, limits.idle_ms, limits.write_ms});
    return milliseconds(std::clamp(least / 4, 1, 250));
}

// Looks at every connection's deadline, while there are connections.
void run_clock(Lane& lane) {
    lane.clock_runs = true;
    lane.clock.expires_after(tick_of(lane.io.limits));
    lane.clock.async_wait([&lane](const boost::system::error_code& error) {
        lane.clock_runs = false;
        if (error) return;
        auto now = Connection::Clock::now();
        std::vector<std::shared_ptr<Connection>> late;
        for (Connection* connection : lane.io.connections)
            if (connection->late(now)) late.push_back(connection->shared_from_this());
        for (auto& connection : late) connection->expire();
        if (!lane.io.connections.empty() && !lane.clock_runs) run_clock(lane);
    });
}

// Best effort, no waiting: the answer fits any fresh socket's buffer.
void turn_away(Socket& socket) {
    Error error(Errc::overloaded,
                "the gateway holds as many connections as it may; try again soon");
    std::string body = refusal_body("", error, "");
    std::string answer;
    AnswerFraming framing;
    framing.content_length = body.size();
    framing.close = true;
    append_answer_head(answer, 503, "application/json", Headers(), "", framing);
    answer += body;
    [[maybe_unused]] auto sent =
        ::send(socket.native_handle(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void take_in(Lane& lane, Socket socket) {
    auto limit = static_cast<std::size_t>(lane.io.limits.connections_max);
    if (lane.census.open.fetch_add(1) >= limit) {
        turn_away(socket);
        lane.census.leave();
        return;
    }
    auto done = [&lane](std::exception_ptr error) {
        lane.census.leave();
        if (error) std::rethrow_exception(error);  // a bug
    };
    net::co_spawn(lane.io.context, serve_connection(lane.io, std::move(socket)), done);
    if (!lane.clock_runs) run_clock(lane);
}

net::awaitable<void> accept_all(Lane& lane, Acceptor& acceptor) {
    for (;;) {
        boost::system::error_code error;
        auto token = net::redirect_error(net::use_awaitable, error);
        Socket socket(lane.io.context);
        co_await acceptor.async_accept(socket, token);
        if (!error) {  // also what was accepted just before the acceptor was closed
            take_in(lane, std::move(socket));
            continue;
        }
        if (!acceptor.is_open()) co_return;
        if (error == net::error::connection_aborted || error == net::error::interrupted) continue;
        log_error("accept_failed", {{"error", error.message()}});
        Timer pause(lane.io.context.get_executor(), accept_pause);
        co_await pause.async_wait(token);
        if (!acceptor.is_open()) co_return;
    }
}

Error cannot_listen(const ServerOptions& options, const std::string& why) {
    return Error(Errc::bad_config, "cannot listen on " + options.address + ":" +
                                       std::to_string(options.port) + ": " + why);
}

// Opens and binds; listens when `share` is set.
Status bind_to(Acceptor& acceptor, const net::ip::tcp::endpoint& endpoint, bool share,
               const ServerOptions& options) {
    boost::system::error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(net::socket_base::reuse_address(true), error);
    if (!error && share) {
        int on = 1;
        int handle = acceptor.native_handle();
        if (::setsockopt(handle, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
            error.assign(errno, boost::system::system_category());
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error && share) acceptor.listen(backlog, error);
    if (error) return cannot_listen(options, error.message());
    return Done{};
}

Status adopt(Lane& lane, int socket, const ServerOptions& options) {
    auto bound = bound_to(socket);
    if (!bound) return cannot_listen(options, bound.error().message);
    boost::system::error_code error;
    lane.acceptors.emplace_back(lane.io.context).assign(bound->protocol(), socket, error);
    if (error) return cannot_listen(options, error.message());
    return Done{};
}

// Each socket has its lane. A lane without one gets a new one on the same port, or, where the port
// is not shared, a part in another's.
Status take_over(std::vector<std::unique_ptr<Lane>>& lanes, const std::vector<int>& sockets,
                 const ServerOptions& options) {
    for (std::size_t i = 0; i < sockets.size(); ++i)
        if (Status taken = adopt(*lanes[i % lanes.size()], sockets[i], options); !taken)
            return taken;
    auto endpoint = bound_to(sockets.front());
    for (std::size_t i = sockets.size(); i < lanes.size(); ++i) {
        Status taken = Done{};
        if (endpoint && shares_port(sockets.front()))
            taken = bind_to(lanes[i]->acceptors.emplace_back(lanes[i]->io.context), *endpoint, true,
                            options);
        else
            taken =
                adopt(*lanes[i], ::fcntl(sockets[i % sockets.size()], F_DUPFD_CLOEXEC, 0), options);
        if (!taken) return taken;
    }
    return Done{};
}

Result<net::ip::tcp::endpoint> endpoint_of(const ServerOptions& options) {
    boost::system::error_code error;
    auto address = net::ip::make_address(options.address, error);
    if (error) return cannot_listen(options, "expected an IP address such as 127.0.0.1 or ::");
    if (options.port < 0 || options.port > 65'535)
        return cannot_listen(options, "expected a port from 0 to 65535");
    return net::ip::tcp::endpoint(address, static_cast<std::uint16_t>(options.port));
}

Status listen_anew(std::vector<std::unique_ptr<Lane>>& lanes, net::ip::tcp::endpoint endpoint,
                   const ServerOptions& options) {
    if (endpoint.port() != 0) {
        // With SO_REUSEPORT a second gateway would quietly share the port; this bind tells.
        Acceptor probe(lanes[0]->io.context);
        auto free = bind_to(probe, endpoint, false, options);
        if (!free) return free.error();
    }
    for (auto& lane : lanes) {
        Acceptor& acceptor = lane->acceptors.emplace_back(lane->io.context);
        auto bound = bind_to(acceptor, endpoint, true, options);
        if (!bound) return bound.error();
        endpoint = acceptor.local_endpoint();  // the others join its port
    }
    return Done{};
}

// What already waits in the accept queue would be reset by closing it.
void stop_accepting(Lane& lane, Acceptor& acceptor) {
    boost::system::error_code error;
    acceptor.non_blocking(true, error);
    while (!error) {
        Socket socket(lane.io.context);
        acceptor.accept(socket, error);
        if (!error) take_in(lane, std::move(socket));
    }
}

// No lane looks at it any more; it goes on listening. Not close(), which leaves to the kernel what
// the kernel does only once no other lane shares the socket: to end the watching of it.
int let_go(Acceptor& acceptor) {
    boost::system::error_code error;
    int socket = acceptor.release(error);
    return error ? -1 : socket;
}

void run_lane(Lane& lane, int index) {
    io_thread_index = index;
    ::pthread_setname_np(::pthread_self(), ("io" + std::to_string(index)).c_str());
    auto guard = net::make_work_guard(lane.io.context);
    lane.io.context.run();
}

}  // namespace

struct Server::Parts {
    ServerOptions options;
    Census census;
    std::vector<std::unique_ptr<Lane>> lanes;
    bool started = false;
    bool accepting = false;
};

Server::Server(const ServerOptions& options) : parts_(std::make_unique<Parts>()) {
    parts_->options = options;
    int count = std::max(1, options.io_threads);
    for (int i = 0; i < count; ++i)
        parts_->lanes.push_back(std::make_unique<Lane>(options.limits, parts_->census));
}

std::size_t Server::io_threads() const { return parts_->lanes.size(); }

net::io_context& Server::context(std::size_t io_thread) {
    return parts_->lanes.at(io_thread)->io.context;
}

int Server::this_io_thread() { return io_thread_index; }

std::size_t Server::connections() const { return parts_->census.open.load(); }

Status Server::can_listen(const ServerOptions& options) {
    auto wanted = endpoint_of(options);
    if (!wanted) return wanted.error();
    net::io_context context;
    Acceptor probe(context);
    return bind_to(probe, *wanted, false, options);
}

Result<net::ip::tcp::endpoint> Server::start(Serve serve) {
    const ServerOptions& options = parts_->options;
    auto wanted = endpoint_of(options);
    if (!wanted) return wanted.error();
    const std::size_t handed = options.inherited.size();
    std::vector<int> inherited = fitting(std::exchange(parts_->options.inherited, {}), *wanted);
    if (handed > 0 && inherited.empty() && !options.may_move)
        return cannot_listen(options,
                             "the sockets that this process was started with listen "
                             "elsewhere; both must name the same address");
    Status listening = inherited.empty() ? listen_anew(parts_->lanes, *wanted, options)
                                         : take_over(parts_->lanes, inherited, options);
    if (!listening) return listening.error();
    net::ip::tcp::endpoint endpoint = parts_->lanes[0]->acceptors[0].local_endpoint();
    parts_->started = true;
    parts_->accepting = true;
    int index = 0;
    for (auto& lane : parts_->lanes) {
        lane->io.serve = serve;
        for (Acceptor& acceptor : lane->acceptors)
            net::co_spawn(lane->io.context, accept_all(*lane, acceptor), net::detached);
        lane->thread = std::thread(run_lane, std::ref(*lane), index++);
    }
    return endpoint;
}

std::size_t Server::drain(milliseconds limit, std::vector<int>* kept) {
    if (!parts_->started) return 0;
    std::mutex guards_kept;
    std::latch stopped(static_cast<std::ptrdiff_t>(parts_->lanes.size()));
    for (auto& lane : parts_->lanes) {
        net::post(lane->io.context, [&, &lane = *lane] {
            if (!std::exchange(lane.io.draining, true)) {
                for (Acceptor& acceptor : lane.acceptors) {
                    if (kept == nullptr) stop_accepting(lane, acceptor);
                    int socket = let_go(acceptor);
                    std::lock_guard lock(guards_kept);
                    if (kept != nullptr && socket >= 0)
                        kept->push_back(socket);
                    else
                        ::close(socket);
                }
                for (auto& connection : all_of(lane.io)) connection->drain();
            }
            // Behind connections that were accepted and are not counted yet.
            net::post(lane.io.context, [&stopped] { stopped.count_down(); });
        });
    }
    stopped.wait();
    if (parts_->census.wait_empty(limit)) return 0;
    std::size_t cut = parts_->census.open.load();
    for (auto& lane : parts_->lanes) {
        net::post(lane->io.context, [&lane = *lane] {
            for (auto& connection : all_of(lane.io)) connection->abort();
        });
    }
    parts_->census.wait_empty(cut_grace);
    return cut;
}

void Server::stop() {
    if (!parts_->started) return;
    drain(milliseconds(0));
    parts_->started = false;
    for (auto& lane : parts_->lanes) lane->io.context.stop();
    for (auto& lane : parts_->lanes) lane->thread.join();
    for (auto& lane : parts_->lanes)
        for (auto& connection : all_of(lane->io)) connection->drop();
}

Server::~Server() { stop(); }

}  // namespace sluice
