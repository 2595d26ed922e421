#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_check(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("check");
    command->callback([&status] { status = 1; });
}

}  // namespace sluice
