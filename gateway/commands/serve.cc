#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_serve(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("serve");
    command->callback([&status] { status = 1; });
}

}  // namespace sluice
