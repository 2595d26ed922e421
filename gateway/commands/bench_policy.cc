// sluice bench policy: microseconds of a decision under a policy of many rules.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "gateway/commands.h"
#include "policies/policy_bench.h"

namespace sluice {

void add_bench_policy(CLI::App& bench, int& status) {
    struct Options {
        int rules = 200;
        int calls = 100'000;
        bool json = false;
    };
    auto* command = bench.add_subcommand("policy", "Microseconds of a decision under many rules");
    auto options = std::make_shared<Options>();
    command->add_option("--rules", options->rules, "rules, none of which matches")
        ->check(CLI::Range(1, 1'000));
    command->add_option("--calls", options->calls, "decisions timed")
        ->check(CLI::Range(100, 10'000'000));
    command->add_flag("--json", options->json, "one JSON object a line");
    command->footer("Example:\n  sluice bench policy --rules 200");
    command->callback([options, &status] {
        for (const PolicyTiming& one : time_policies(options->rules, options->calls))
            std::printf(options->json ? "{\"rules\":\"%s\",\"p50_us\":%.3f,\"p99_us\":%.3f}\n"
                                      : "%-26s p50 %8.3f us   p99 %8.3f us\n",
                        one.rules.c_str(), one.p50_us, one.p99_us);
        status = 0;
    });
}

}  // namespace sluice
