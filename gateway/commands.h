// The command line: each add_* registers one subcommand of `sluice`; its file is
// gateway/commands/<name>.cc. A subcommand's callback sets `status` to the exit status:
// 0 done, 1 the thing asked is not so or failed, 2 wrong usage.
#pragma once

#include "gateway/command_line.h"

namespace sluice {

void add_serve(Command& app, int& status);
void add_check(Command& app, int& status);
void add_explain(Command& app, int& status);
void add_classify(Command& app, int& status);
void add_simulate(Command& app, int& status);
void add_replay(Command& app, int& status);
void add_policy(Command& app, int& status);
void add_keys(Command& app, int& status);
void add_test(Command& app, int& status);
void add_eval(Command& app, int& status);
void add_spend(Command& app, int& status);
void add_train_router(Command& app, int& status);
void add_generate(Command& app, int& status);
void add_tokenize(Command& app, int& status);
void add_bench(Command& app, int& status);
void add_bench_engine(Command& bench, int& status);    // under bench, as the others of its kind
void add_bench_gateway(Command& bench, int& status);   // a subcommand of bench
void add_bench_learning(Command& bench, int& status);  // a subcommand of bench
void add_bench_router(Command& bench, int& status);    // a subcommand of bench

}  // namespace sluice
