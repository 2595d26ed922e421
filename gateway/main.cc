// sluice: the command line. Each command is registered by its own file in gateway/commands/.
#include <unistd.h>

#include <cstdio>

#include "engine/log.h"
#include "gateway/commands.h"

// jemalloc's, where it is linked: what a thread keeps of each size without asking anybody. As many
// requests as are usually under way on one thread free theirs before others take it again.
extern "C" const char* malloc_conf;
const char* malloc_conf = "tcache_nslots_small_min:128,tcache_nslots_small_max:256";

int main(int argc, char** argv) {
    sluice::log_to(STDERR_FILENO);  // but for `serve`, whose output the log is
    sluice::CommandLine app("Sluice: one LLM endpoint for a whole company.", "sluice");
    app.require_subcommand();
    app.footer(
        "Example:\n  sluice serve --config deploy/quickstart.yaml\n"
        "  sluice check deploy/quickstart.yaml");
    int status = 0;
    sluice::add_serve(app, status);
    sluice::add_check(app, status);
    sluice::add_explain(app, status);
    sluice::add_classify(app, status);
    sluice::add_simulate(app, status);
    sluice::add_replay(app, status);
    sluice::add_policy(app, status);
    sluice::add_keys(app, status);
    sluice::add_test(app, status);
    sluice::add_eval(app, status);
    sluice::add_spend(app, status);
    sluice::add_train_router(app, status);
    sluice::add_generate(app, status);
    sluice::add_tokenize(app, status);
    sluice::add_bench(app, status);
    if (argc == 1) {
        std::fputs(app.help().c_str(), stderr);
        return 2;
    }
    if (auto ended = app.parse(argc, argv)) return *ended;
    return status;
}
