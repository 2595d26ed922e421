#include <CLI/CLI.hpp>

#include "gateway/commands.h"

namespace sluice {

void add_bench(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("bench", "Measures a part of Sluice on this machine");
    command->require_subcommand(1);
    command->footer("Example:\n  sluice bench gateway");
    add_bench_gateway(*command, status);
}

}  // namespace sluice
