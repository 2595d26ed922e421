#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_spend(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("spend");
    command->callback([&status] { status = 1; });
}

}  // namespace sluice
