// The whole configuration as one immutable snapshot, swapped whole: a request keeps the one it
// started with. load_config reads the YAML file and every file it names; a fault anywhere gives
// all faults of one pass and no Config.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "gateway/budgets.h"
#include "gateway/golden_gate.h"
#include "gateway/keys.h"
#include "gateway/learning/learning_section.h"
#include "gateway/ledger_entry.h"
#include "gateway/policy_section.h"
#include "gateway/server_limits.h"
#include "policies/classifier.h"
#include "policies/policy.h"
#include "providers/local/local_provider.h"
#include "providers/price_book.h"
#include "providers/upstream.h"

namespace sluice {

// The embedded engine of the local tier.
struct EngineSection {
    EngineOptions options;
    Money gpu_hour;                    // what an hour of this machine costs; 0 = said at start
    std::int64_t tokens_per_hour = 0;  // planned output tokens an hour, spreads gpu_hour
    LocalOptions answers;              // what holds where a request does not say
    bool restart_when_lost = true;     // of the device: the gateway, in its place (restart.h)
};

struct RequestLimits {
    int requests_max = 4'096;   // in flight at once; more are refused with 503
    int attempts_max = 6;       // upstreams tried for one request
    int fallback_ms = 120'000;  // no further attempt begins later than this after the first
};

struct Config {
    std::string file;
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 8080;
    int io_threads = 1;
    ServerLimits http;
    RequestLimits requests;
    LedgerOptions ledger;
    KeyRing keys;
    BudgetSection budgets;
    std::optional<EngineSection> engine;
    std::vector<Upstream> upstreams;    // callable ones; addresses stay for the snapshot's life
    std::vector<std::string> disabled;  // "open-together: TOGETHER_API_KEY is not set"
    std::vector<std::string> warnings;  // said once at load
    Policy policy;                      // the live one
    std::shared_ptr<const PolicyCandidate> candidate;
    std::string policy_versions;                // the folder where they are kept
    std::optional<PolicyRollback> rolled_back;  // while the live one is not the file's
    std::string rollback_fault;  // why the rollback in force cannot be: `policy` is what serves
    std::shared_ptr<const Classifier> classifier;
    // Why the weights that the file names cannot be used: the need of reasoning alone then decides.
    std::string classifier_fault;
    std::optional<LearningSection> learning;  // none: nothing is learned
    std::optional<GoldenSection> golden;      // none: no gate
    std::string key_file;                     // of `sluice keys`
    // Of `files`: those that our own commands replace, never seen half written.
    std::vector<std::string> replaced_whole;
    std::vector<std::string> files;  // all read, the config file first: watched for changes

    const Upstream* upstream(std::string_view name) const;
    // The price that "what it would have cost" uses: the first upstream of the baseline tier with
    // a known price, or nullptr.
    const Upstream* baseline() const;
};

using ConfigPtr = std::shared_ptr<const Config>;

// `date` (YYYY-MM-DD) chooses the prices in force. Environment variables are read here only.
// `instead` stands for the rollback in force. `files`, where given, becomes Config::files also
// where there are faults: with those that could not be read.
Result<ConfigPtr> load_config(const std::string& path, const std::string& date,
                              std::vector<std::string>* files = nullptr,
                              const PolicyRollback* instead = nullptr);
std::string today_utc();

// Empty when `next` may replace `now` in a running gateway; otherwise what would need a restart.
std::string needs_restart(const Config& now, const Config& next);
// Empty, or what `next` asks for and would have to serve without, where `now` does not.
std::string newly_lost(const Config& now, const Config& next);

}  // namespace sluice
