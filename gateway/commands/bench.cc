#include "gateway/commands.h"

namespace sluice {

void add_bench(Command& app, int& status) {
    Command command = app.add_subcommand("bench", "Measures this program on this machine.");
    command.require_subcommand();
    command.footer("Example:\n  sluice bench engine --help\n  sluice bench gateway --turns 3");
    add_bench_engine(command, status);
    add_bench_gateway(command, status);
    add_bench_learning(command, status);
    add_bench_router(command, status);
}

}  // namespace sluice
