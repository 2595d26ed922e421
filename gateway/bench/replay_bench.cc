#include "gateway/bench/replay_bench.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "gateway/bench/target_process.h"
#include "gateway/ledger.h"
#include "gateway/stores/recorded.h"
#include "policies/policy.h"
#include "policies/replay.h"

namespace sluice::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t rows_at_once = 1'024, teams = 20;
constexpr const char* candidate = R"(version: 1
tiers: {local: [here], open: [near], frontier: [far]}
rules:
  - {name: chat stays cheap, when: {tags: {app: chat}, difficulty: {below: 0.7}}, use: local}
  - {name: one team, when: {team: team-7}, use: open}
default: {bands: [{below: 0.4, tier: local}, {below: 0.8, tier: open}, {tier: frontier}]}
)";

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// The same for the same n: seven of ten local, half of them with a tag, ten a session.
LedgerEntry entry_of(std::int64_t n) {
    constexpr std::int64_t first_unix_ms = 1'800'000'000'000;
    int place = n % 10 < 7 ? 0 : n % 10 < 9 ? 1 : 2;
    LedgerEntry entry;
    entry.started_unix_ms = first_unix_ms + n * 80;
    entry.request_id = "req_" + std::to_string(n);
    entry.session_id = "session-" + std::to_string(n / 10);
    entry.answered = true;
    entry.caller.org = "acme";
    entry.caller.team = "team-" + std::to_string(n % teams);
    entry.caller.key_id = "key-" + std::to_string(n % (3 * teams));
    entry.dialect = "openai_chat";
    entry.model_asked = "auto";
    entry.tier = (std::string[]){"local", "open", "frontier"}[place];
    entry.upstream = (std::string[]){"here", "near", "far"}[place];
    entry.vendor = entry.model = entry.upstream;
    entry.rule = "default";
    entry.policy_version = "1-0000";
    entry.difficulty = static_cast<double>(n * 37 % 1'000) / 1'000;
    entry.outcome = "ok";
    entry.http_status = 200;
    entry.usage.in_uncached = 100 + n % 900;
    entry.usage.out_text = 50 + n % 450;
    entry.cost.pico_usd = entry.usage.out_text * (1 + 10 * place) * 100'000;
    entry.first_token_us = 200'000 + n % 1'000;
    entry.duration_us = entry.first_token_us + entry.usage.out_text * 10'000;
    DecisionRecord record;
    record.input_tokens = entry.usage.in_uncached;
    record.expected_output_tokens = record.expected_output_tokens_frontier = 300;
    record.gain = static_cast<float>(entry.difficulty / 2);
    record.ok_frontier = 0.9F;
    Labels labels;
    if (n % 2 == 0) labels.tags["app"] = n % 4 == 0 ? "chat" : "search";
    OnlineFeatures features;  // as where the gateway learns: of some sixty words
    features.word_count = 60;
    for (std::size_t i = 0; i < features.word_count; ++i)
        features.words[i] =
            static_cast<std::uint16_t>((n + 61 * static_cast<std::int64_t>(i)) % 4'096);
    entry.decision = write_record(record, labels, &features, 1);
    return entry;
}

net::awaitable<void> fill(Ledger& ledger, std::int64_t requests, Status& status) {
    for (std::int64_t n = 0; n < requests && status;) {
        std::vector<LedgerEntry> rows;
        for (; n < requests && static_cast<std::int64_t>(rows.size()) < rows_at_once; ++n)
            rows.push_back(entry_of(n));
        status = co_await ledger.append(std::move(rows));
    }
}

Status write_ledger(const std::string& url, std::int64_t requests) {
    LedgerOptions options;
    options.url = url;
    options.append_wait_ms_max = 60'000;
    auto ledger = Ledger::open(options);
    if (!ledger) return ledger.error();
    Status status = Done{};
    net::io_context io;
    net::co_spawn(io, fill(**ledger, requests, status), net::detached);
    io.run();
    return status;
}

// What `sluice replay` does without a configuration, but for printing.
Result<ReplayReport> replay(const std::string& path, const Policy& policy) {
    auto database = open_ledger_to_read(path);
    if (!database) return database.error();
    auto span = recorded_span(database->get(), path, 0);
    if (!span) return span.error();
    std::vector<Upstream> upstreams;
    for (const auto& [name, seen] : span->upstreams) {
        Upstream& one = upstreams.emplace_back();
        one.name = name;
        one.price_known = true;
        one.price.output = static_cast<std::int64_t>(seen.cost / seen.output_tokens);
    }
    Replay replay(policy, upstreams);
    Status read = each_recorded(database->get(), path, 0,
                                [&replay](const RecordedRequest& one) { replay.add(one); });
    if (!read) return read.error();
    return replay.finish();
}

}  // namespace

Result<ReplayTiming> time_replay(std::int64_t requests) {
    ScratchFolder folder;
    if (folder.path().empty())
        return Error(Errc::internal, "no folder can be made where temporary files go ($TMPDIR)");
    std::vector<Fault> faults;
    Policy policy = read_policy(candidate, "candidate", {}, faults);
    std::string path = folder.path() + "/ledger.db";
    ReplayTiming timing;
    auto start = Clock::now();
    Status written = write_ledger("sqlite:" + path, requests);
    if (!written) return written.error();
    timing.write_s = seconds_since(start);
    start = Clock::now();
    auto report = replay(path, policy);
    if (!report) return report.error();
    timing.replay_s = seconds_since(start);
    timing.requests = report->requests;
    timing.moved = report->moved;
    if (timing.requests != requests)
        return Error(Errc::internal, "the replay saw " + std::to_string(timing.requests) + " of " +
                                         std::to_string(requests) + " requests");
    return timing;
}

}  // namespace sluice::bench
