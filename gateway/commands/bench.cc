#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_bench(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("bench", "Measures this program on this machine.");
    command->require_subcommand(1);
    add_bench_engine(*command, status);
    add_bench_gateway(*command, status);
    add_bench_learning(*command, status);
    add_bench_router(*command, status);
}

}  // namespace sluice
