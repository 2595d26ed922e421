#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_bench(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("bench");
    command->callback([&status] { status = 1; });
}

}  // namespace sluice
