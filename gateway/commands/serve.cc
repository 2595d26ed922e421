// sluice serve: the gateway. Threads: main (signals, reload), io x N, engine, ledger.
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <future>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/config_notes.h"
#include "gateway/config_yaml.h"
#include "gateway/endpoints.h"
#include "gateway/handover.h"
#include "gateway/held_signals.h"
#include "gateway/learning/learning.h"
#include "gateway/reload.h"
#include "gateway/restart.h"
#include "gateway/server.h"
#include "gateway/stores/spent.h"

namespace sluice {
namespace {

constexpr auto drain_limit = std::chrono::seconds(30);
constexpr auto damage_look_every = std::chrono::seconds(5);
constexpr auto shadow_limit = std::chrono::seconds(5);

struct ServeOptions {
    std::string config;
    std::string listen;
};

int fail(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
}

// `listen` overrides the file's address when it is given.
Result<ServerOptions> server_options(const Config& config, const std::string& listen) {
    ServerOptions options;
    std::uint16_t port = config.listen_port;
    options.address = config.listen_address;
    if (!listen.empty() && !parse_listen(listen, options.address, port))
        return Error(
            Errc::bad_config,
            "--listen: expected ADDRESS:PORT such as 127.0.0.1:8080, got '" + listen + "'");
    options.port = port;
    options.io_threads = config.io_threads;
    options.limits = config.http;
    return options;
}

std::string endpoint_text(const net::ip::tcp::endpoint& endpoint) {
    std::string address = endpoint.address().to_string();
    if (endpoint.address().is_v6()) address = "[" + address + "]";
    return address + ":" + std::to_string(endpoint.port());
}

void log_start(const Config& config, const std::string& address, bool restarted) {
    log_info("listening", {{"address", address},
                           {"restarted", restarted},
                           {"config", config.file},
                           {"policy_version", config.policy.version},
                           {"upstreams", config.upstreams.size()},
                           {"classifier", config.classifier->version()}});
    if (!config.classifier_fault.empty())
        log_error("classifier_left_out", {{"message", config.classifier_fault},
                                          {"instead", "difficulty is the need of reasoning"}});
    if (!config.rollback_fault.empty())
        log_error("rollback_left_out",
                  {{"message", config.rollback_fault},
                   {"instead", "version " + config.policy.version + " serves"}});
    for (const std::string& warning : config.warnings) log_info("note", {{"message", warning}});
    for (const NameNote& note : name_notes(config))
        if (note.mistyped)
            log_error("name_mistyped", {{"message", note.said}});
        else
            log_info("note", {{"message", note.said}});
    for (const std::string& off : config.disabled)
        log_info("upstream_left_out", {{"message", off}});
    for (const Upstream& one : config.upstreams)
        if (one.vendor.simulated)
            log_info("simulated_upstream", {{"upstream", one.name}, {"url", one.base_url}});
}

// Main's own work: what must be ready before io threads need it, under what is live by then.
void keep_ready(net::steady_timer& timer, Gateway& gateway, const ConfigPtr& live) {
    timer.expires_after(std::chrono::seconds(1));
    timer.async_wait([&](boost::system::error_code failed) {
        if (failed) return;
        auto read = [&](std::int64_t since, std::int64_t until) {
            return read_spent(live->ledger.url, since, until);
        };
        Status ready = gateway.budgets.prepare(live->budgets, std::time(nullptr), read);
        if (!ready) log_error("budget_count_lost", {{"message", ready.error().message}});
        gateway.pace.move(std::time(nullptr));
        keep_ready(timer, gateway, live);
    });
}

// A version that is live or on trial is kept and noted; where that fails, it serves all the same.
void note_policies(const Config& config, const std::string& why) {
    PolicyVersions versions(config.policy_versions);
    std::string reason = why;
    if (config.rolled_back)
        reason = "rollback by " + config.rolled_back->by + ": " + config.rolled_back->why;
    Status noted = versions.note(config.policy, "live", reason);
    if (noted && config.candidate)
        noted = versions.note(config.candidate->policy, config.candidate->what(), why);
    if (!noted) log_error("policy_not_kept", {{"message", noted.error().message}});
}

// Shown to administrators and in the metrics. What note_policies() mends is not in it.
void look_for_damage(Gateway& gateway, const Config& config) {
    gateway.policy_damage.store(std::make_shared<const std::vector<std::string>>(
        PolicyVersions(config.policy_versions).damage()));
}

void keep_looking(net::steady_timer& timer, Gateway& gateway, const ConfigPtr& live) {
    timer.expires_after(damage_look_every);
    timer.async_wait([&](boost::system::error_code failed) {
        if (failed) return;
        look_for_damage(gateway, *live);
        keep_looking(timer, gateway, live);
    });
}

void keep_learned(net::steady_timer& timer, Learning& learning) {
    timer.expires_after(std::chrono::seconds(1));
    timer.async_wait([&](boost::system::error_code failed) {
        if (failed) return;
        learning.save_if_changed();
        keep_learned(timer, learning);
    });
}

Result<std::unique_ptr<Learning>> open_learning(const Config& config) {
    if (!config.learning) return std::unique_ptr<Learning>();
    auto learning =
        Learning::open(*config.learning, config.classifier->version(), config.policy.learning);
    if (!learning) return learning.error();
    constexpr std::int64_t day_ms = 86'400'000;
    std::int64_t day = std::time(nullptr) / 86'400;
    auto spent = read_spent(config.ledger.url, day * day_ms, (day + 1) * day_ms);
    if (!spent) return spent.error();
    Money shadow;
    for (const Budgets::Spent& one : *spent) {
        const Caller booked = shadow_caller(one.caller.org);
        if (one.caller.team == booked.team && one.caller.key_id == booked.key_id)
            shadow += one.cost;
    }
    (*learning)->shadow.restore(day, shadow);
    return learning;
}

// Reads all that may fail first: where it does, nothing has changed.
Result<SnapshotPtr> snapshot_of(Gateway& gateway, ConfigPtr config) {
    auto read = [&](std::int64_t since, std::int64_t until) {
        return read_spent(config->ledger.url, since, until);
    };
    auto budgets = gateway.budgets.ready(config->budgets, std::time(nullptr), read);
    if (!budgets) return budgets.error();
    auto pace = gateway.pace.ready(config->policy, config->ledger.url, std::time(nullptr));
    if (!pace) return pace.error();
    BudgetAccounts accounts = gateway.budgets.take_up(std::move(*budgets));
    gateway.pace.take_up(config->policy, *pace);
    return gateway.fleet.snapshot(std::move(config), std::move(accounts));
}

// What this process was started with, which its next life is started with, too.
struct Start {
    ServeOptions options;
    Inherited inherited;
    Result<std::vector<std::string>> words;
};

// How a gateway's life ends: with a status, or with the next one, which gets the sockets.
struct Ended {
    int status = 0;
    bool next = false;
    std::vector<int> sockets;
    int in_vain = 0;               // restarts that did not bring the engine's device back
    std::unique_ptr<Fleet> fleet;  // with the engine; all else is gone and written
};

Ended failed(const Error& error) { return {fail(error), false, {}, 0, nullptr}; }

// What the next life needs beside a good configuration. Where it needs what this one does not have,
// that is tried.
Status can_begin(const Start& start, const Config& now, const Config& next) {
    if (!start.words) return start.words.error();
    if (Status found = can_start(*start.words); !found) return found;
    auto here = server_options(now, start.options.listen);
    auto there = server_options(next, start.options.listen);
    if (!there) return there.error();
    if (here && (here->address != there->address || here->port != there->port))
        if (Status free = Server::can_listen(*there); !free) return free;
    if (now.ledger.url != next.ledger.url)
        if (auto ledger = Ledger::open(next.ledger); !ledger) return ledger.error();
    if (now.learning != next.learning)
        if (auto learning = open_learning(next); !learning) return learning.error();
    return Done{};
}

// Runs until SIGTERM or SIGINT, or until it is to start anew, then drains.
Ended run(Gateway& gateway, Server& server, std::vector<std::unique_ptr<Seat>>& seats,
          ConfigPtr config, Reload::Stamps seen, const Start& start) {
    net::io_context main_context(1);
    net::signal_set ending(main_context, SIGTERM, SIGINT);
    ConfigPtr live = config;
    auto install = [&](ConfigPtr next) -> Status {
        auto made = snapshot_of(gateway, std::move(next));
        if (!made) return made.error();
        SnapshotPtr snapshot = *made;
        live = snapshot->config;
        note_policies(*snapshot->config, "reload");
        look_for_damage(gateway, *snapshot->config);
        if (gateway.learning != nullptr)
            gateway.learning->set_policy(snapshot->config->policy.learning);
        for (std::size_t i = 0; i < seats.size(); ++i)
            net::post(server.context(i),
                      [&seat = *seats[i], snapshot] { seat.snapshot = snapshot; });
        return Done{};
    };
    net::steady_timer ready_timer(main_context);
    keep_ready(ready_timer, gateway, live);
    net::steady_timer damage_timer(main_context);
    keep_looking(damage_timer, gateway, live);
    net::steady_timer learned_timer(main_context);
    if (gateway.learning != nullptr) {
        keep_learned(learned_timer, *gateway.learning);
        gateway.learning->past.begin(main_context.get_executor(), config->ledger.url);
    }
    Reload reload(main_context, config, std::move(seen), install, gateway.metrics);
    // Before it says that it listens: who reads that may ask for the next life at once.
    const bool restarted = start.inherited.restarted;
    LostDevice lost;
    if (restarted) lost = LostDevice(LostDevice::Clock::now(), start.inherited.in_vain);
    Restart restart(main_context, lost,
                    {[&] { return live; }, [&] { return gateway.fleet.device_lost(); },
                     [&](const Config& next) { return can_begin(start, *live, next); }});
    auto endpoint = server.start([&](const HttpRequest& http, Reply& reply) {
        auto here = static_cast<std::size_t>(Server::this_io_thread());
        return serve_request(gateway, *seats[here], http, reply);
    });
    if (!endpoint) return failed(endpoint.error());
    log_start(*config, endpoint_text(*endpoint), restarted);
    bool end = false;
    ending.async_wait([&](boost::system::error_code, int) {
        end = true;
        main_context.stop();
    });
    SignalsTaken taken(gateway_signals());
    main_context.run();
    log_info("draining", {{"connections", server.connections()}});
    if (gateway.learning != nullptr) {
        gateway.learning->past.end();
        main_context.restart();
        main_context.poll();  // a look that is waited for
    }
    Ended ended;
    std::size_t cut =
        server.drain(drain_limit, restart.wanted() && !end ? &ended.sockets : nullptr);
    if (gateway.learning != nullptr) gateway.learning->shadow.stop(shadow_limit);
    log_info("stopped", {{"connections_cut", cut}});
    main_context.restart();
    main_context.poll();  // whether it was told to end meanwhile
    ended.next = restart.wanted() && !end;
    bool in_vain = restarted && !gateway.fleet.engine_was_open();
    ended.in_vain = in_vain ? start.inherited.in_vain + 1 : 0;
    return ended;
}

// At the first start what is wrong with the engine is said and ends the program; a signal to end
// does not wait for it, while threads that are made meanwhile leave signals to this one.
Result<std::unique_ptr<Fleet>> open_fleet(const Config& config, bool restarted) {
    auto opening = std::async(std::launch::async, [&] { return Fleet::open(config, restarted); });
    SignalsTaken taken(signals_of({SIGTERM, SIGINT}));
    return opening.get();
}

Ended serve_once(Start& start) {
    auto loaded = load_config(start.options.config, today_utc());
    if (!loaded) return failed(loaded.error());
    ConfigPtr config = *loaded;
    auto seen = Reload::stamps(config->files);  // opening a model may take minutes
    auto gate = golden_gate(*config, nullptr);
    if (!gate) return failed(gate.error());
    auto listening = server_options(*config, start.options.listen);
    if (!listening) return failed(listening.error());
    listening->inherited = std::move(start.inherited.sockets);
    listening->may_move = start.inherited.restarted;
    auto ledger = Ledger::open(config->ledger);
    if (!ledger) return failed(ledger.error());
    auto fleet = open_fleet(*config, start.inherited.restarted);
    if (!fleet) return failed(fleet.error());
    if (!start.inherited.restarted) (*fleet)->log_model();
    auto learning = open_learning(*config);
    if (!learning) return failed(learning.error());
    Metrics metrics;
    Gateway gateway{
        **fleet, **ledger, metrics,         {},
        {},      {},       learning->get(), Draws::kept(Draws::path_beside(config->ledger.url)),
        {}};
    Server server(*listening);
    std::vector<std::unique_ptr<Seat>> seats;
    auto snapshot = snapshot_of(gateway, config);
    if (!snapshot) return failed(snapshot.error());
    for (std::size_t i = 0; i < server.io_threads(); ++i) {
        seats.push_back(std::make_unique<Seat>(server.context(i)));
        seats.back()->snapshot = *snapshot;
    }
    note_policies(*config, "start");
    look_for_damage(gateway, *config);
    Ended ended = run(gateway, server, seats, config, std::move(seen), start);
    server.stop();
    if (server.connections() > 0)  // cut, and not gone yet: they go with the server, seats after it
        for (auto& seat : seats) (void)seat.release();
    ended.fleet = *std::move(fleet);
    return ended;
}

int serve(const ServeOptions& options) {
    std::signal(SIGPIPE, SIG_IGN);  // a peer that left is an error code, not a death
    std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may grow no more
    hold_signals();
    auto inherited = take_inherited();
    if (!inherited) return fail(inherited.error());
    Start start{options, *std::move(inherited), own_command_line()};
    Ended ended = serve_once(start);
    // A device that is being opened is not waited for: what counts is written.
    if (ended.fleet && ended.fleet->at_rest()) ended.fleet.reset();
    if (ended.next)
        ended.status = fail(become_next(*start.words, std::move(ended.sockets), ended.in_vain));
    if (!ended.fleet) return ended.status;
    std::fflush(nullptr);
    std::_Exit(ended.status);
}

}  // namespace

void add_serve(Command& app, int& status) {
    Command command = app.add_subcommand("serve", "Run the gateway");
    auto options = std::make_shared<ServeOptions>();
    command.add_option("--config", options->config, "configuration file").required();
    command.add_option("--listen", options->listen,
                       "ADDRESS:PORT instead of the file's; port 0 picks one");
    command.footer(
        "Example:\n  sluice serve --config deploy/quickstart.yaml\n"
        "SIGHUP reloads the configuration, SIGTERM drains and ends, SIGUSR2 drains and starts\n"
        "anew in place: the same process, on the same sockets.");
    command.callback([options, &status] {
        log_to(STDOUT_FILENO);
        status = serve(*options);
    });
}

}  // namespace sluice
