#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_explain(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("explain");
    command->callback([&status] { status = 1; });
}

}  // namespace sluice
