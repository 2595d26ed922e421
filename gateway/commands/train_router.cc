#include "gateway/commands.h"

#include <CLI/CLI.hpp>

namespace sluice {

void add_train_router(CLI::App& app, int& status) {
    auto* command = app.add_subcommand("train-router");
    command->callback([&status] { status = 1; });
}

}  // namespace sluice
