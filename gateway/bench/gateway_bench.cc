#include "gateway/bench/gateway_bench.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string_view>

#include "gateway/bench/bench_targets.h"
#include "gateway/bench/load_client.h"
#include "gateway/bench/scripted_upstream.h"
#include "gateway/bench/target_process.h"

namespace sluice::bench {
namespace {

using Clients = std::vector<std::unique_ptr<LoadClient>>;

constexpr double warmup_seconds = 0.3;
constexpr int lone_calls = 300;  // of one connection, for latencies
constexpr int lone_tokens = 3;
constexpr auto patience = std::chrono::seconds(60);

Clock::time_point after(double seconds) {
    return Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// One server, measured phase by phase.
class Measurement {
public:
    Measurement(EventLoop& loop, ScriptedUpstream& upstream, const BenchTarget& target)
        : loop_(loop), upstream_(upstream), target_(target) {}

    Result<ServerFigures> run(const GatewayBenchPlan& plan) {
        auto status = lone_requests();  // also warms the server up
        if (status) status = open_streams(plan);
        if (status) status = lone_streams();
        if (status) status = requests(plan);
        if (status) status = tokens(plan);
        if (!status) return status.error();
        return figures_;
    }

private:
    std::int64_t cpu_ns() const { return target_.process ? target_.process->cpu_ns() : 0; }

    Clients clients(int count, std::function<bool(Script&)> again) {
        Clients made;
        for (int i = 0; i < count; ++i)
            made.push_back(std::make_unique<LoadClient>(loop_, target_.target, tally_, again));
        return made;
    }

    // Runs until no client has a call under way. Errors: a wrong answer, or none in time.
    Status finish(const Clients& all, const char* phase) {
        auto idle = [&] {
            auto busy = [](const auto& client) { return client->busy(); };
            return tally_.wrong > 0 || std::none_of(all.begin(), all.end(), busy);
        };
        bool done = loop_.run(Clock::now() + patience, idle);
        if (done && tally_.wrong == 0 && upstream_.faults() == 0) return Done{};
        std::string why = tally_.wrong > 0 ? "a wrong answer: " + tally_.first_wrong
                          : done           ? "the upstream was asked something it does not know"
                                           : "no answer within 60 s";
        return Error(Errc::internal, target_.name + ", " + phase + ": " + why);
    }

    Status lone_requests() {
        tally_ = Tally();
        int left = lone_calls;
        auto one = clients(1, [&](Script& script) {
            script.id = next_id_++;
            return --left > 0;
        });
        Script script;
        script.id = next_id_++;
        one[0]->call(script, false);
        auto status = finish(one, "one connection");
        if (status) figures_.answer_us = median(tally_.answer_us);
        return status;
    }

    Status lone_streams() {
        tally_ = Tally();
        int left = lone_calls;
        Script script;
        script.tokens = lone_tokens;
        auto one = clients(1, [&](Script& next) {
            next = script;
            next.id = next_id_++;
            return --left > 0;
        });
        script.id = next_id_++;
        one[0]->call(script, true);
        auto status = finish(one, "one stream at a time");
        if (status) figures_.first_token_us = median(tally_.first_token_us);
        return status;
    }

    Status requests(const GatewayBenchPlan& plan) {
        tally_ = Tally();
        bool more = true;
        auto all = clients(plan.connections, [&](Script& script) {
            script.id = next_id_++;
            return more;
        });
        for (auto& client : all) {
            Script script;
            script.id = next_id_++;
            client->call(script, false);
        }
        auto failed = [this] { return tally_.wrong > 0; };
        loop_.run(after(warmup_seconds), failed);
        auto began = Clock::now();
        std::int64_t cpu_began = cpu_ns();
        std::int64_t user_began = target_.process ? target_.process->user_ns() : 0;
        double answers = -static_cast<double>(tally_.answers);
        loop_.run(after(plan.seconds), failed);
        std::chrono::duration<double> took = Clock::now() - began;
        double cpu_us = static_cast<double>(cpu_ns() - cpu_began) / 1e3;
        double user_us = target_.process
                             ? static_cast<double>(target_.process->user_ns() - user_began) / 1e3
                             : 0;
        answers += static_cast<double>(tally_.answers);
        more = false;
        auto status = finish(all, "requests");
        if (!status) return status;
        figures_.requests_per_s = answers / took.count();
        figures_.request_cpu_us = cpu_us / answers;
        figures_.request_user_us = user_us / answers;
        figures_.core_share = cpu_us / 1e6 / took.count();
        return status;
    }

    Status tokens(const GatewayBenchPlan& plan) {
        tally_ = Tally();
        auto all = clients(plan.streams, [](Script&) { return false; });
        auto begin = after(0.1);
        std::int64_t cpu_began = cpu_ns();
        for (int i = 0; i < plan.streams; ++i) {  // spread over the gap, as real ones are
            Script script;
            script.id = next_id_++;
            script.tokens = plan.tokens;
            script.gap_us = plan.gap_us;
            auto offset = std::chrono::microseconds(std::int64_t(plan.gap_us) * i / plan.streams);
            all[static_cast<std::size_t>(i)]->call_at(begin + offset, script, true);
        }
        auto status = finish(all, "streams");
        if (!status) return status;
        auto count = static_cast<double>(tally_.tokens);
        figures_.token_cpu_us = static_cast<double>(cpu_ns() - cpu_began) / 1e3 / count;
        figures_.events_per_token = static_cast<double>(tally_.token_events) / count;
        return status;
    }

    Status open_streams(const GatewayBenchPlan& plan) {
        if (!target_.process) return Done{};
        tally_ = Tally();
        auto all = clients(plan.open_streams, [](Script&) { return false; });
        std::int64_t before = target_.process->resident_bytes();
        for (auto& client : all) {
            Script script;
            script.id = next_id_++;
            script.tokens = 2;
            script.hold = true;
            client->call(script, true);
        }
        auto count = static_cast<std::uint64_t>(plan.open_streams);
        loop_.run(Clock::now() + patience,
                  [&] { return tally_.wrong > 0 || tally_.first_tokens == count; });
        auto bytes = static_cast<double>(target_.process->resident_bytes() - before);
        figures_.stream_kib = bytes / 1024 / plan.open_streams;
        upstream_.release();
        return finish(all, "open streams");
    }

    EventLoop& loop_;
    ScriptedUpstream& upstream_;
    const BenchTarget& target_;
    Tally tally_;
    ServerFigures figures_;
    std::uint64_t next_id_ = 1'000'000;
};

Result<ServerFigures> measure(const std::string& name, const GatewayBenchPlan& plan, int core) {
    EventLoop loop;
    ScriptedUpstream upstream(loop);
    auto listening = upstream.listen();
    if (!listening) return listening.error();
    ScratchFolder folder;
    auto target = start_target(name, plan, upstream.port(), core, folder);
    if (!target) return target.error();
    Measurement measurement(loop, upstream, *target);
    auto figures = measurement.run(plan);
    if (!figures)
        return Error(Errc::internal, figures.error().message + target_log(folder, target->name));
    return figures;
}

}  // namespace

Result<std::vector<Turn>> run_gateway_bench(const GatewayBenchPlan& plan) {
    auto cores = two_cores();
    if (!cores) return cores.error();
    pin_to(cores->first);
    std::vector<std::string> names = {"direct"};
    if (!plan.nginx.empty()) names.push_back("nginx");
    if (!plan.sluice.empty()) names.push_back("gateway");
    std::vector<Turn> turns;
    for (int i = 0; i < plan.turns; ++i) {
        Turn turn;
        for (const std::string& name : names) {
            std::fprintf(stderr, "turn %d of %d: %s\n", i + 1, plan.turns, name.c_str());
            auto figures = measure(name, plan, cores->second);
            if (!figures) return figures.error();
            turn[name] = *figures;
        }
        turns.push_back(std::move(turn));
        std::rotate(names.begin(), names.begin() + 1, names.end());
    }
    return turns;
}

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

}  // namespace sluice::bench
