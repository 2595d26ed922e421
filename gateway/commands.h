// The command line: each add_* registers one subcommand of `sluice`; its file is
// gateway/commands/<name>.cc. A subcommand's callback sets `status` to the exit status:
// 0 done, 1 the thing asked is not so or failed, 2 wrong usage.
#pragma once

namespace CLI {
class App;
}

namespace sluice {

void add_serve(CLI::App& app, int& status);
void add_check(CLI::App& app, int& status);
void add_explain(CLI::App& app, int& status);
void add_classify(CLI::App& app, int& status);
void add_simulate(CLI::App& app, int& status);
void add_replay(CLI::App& app, int& status);
void add_policy(CLI::App& app, int& status);
void add_keys(CLI::App& app, int& status);
void add_test(CLI::App& app, int& status);
void add_eval(CLI::App& app, int& status);
void add_spend(CLI::App& app, int& status);
void add_train_router(CLI::App& app, int& status);
void add_generate(CLI::App& app, int& status);
void add_tokenize(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_bench_engine(CLI::App& bench, int& status);    // under bench, as the others of its kind
void add_bench_gateway(CLI::App& bench, int& status);   // a subcommand of bench
void add_bench_learning(CLI::App& bench, int& status);  // a subcommand of bench
void add_bench_router(CLI::App& bench, int& status);    // a subcommand of bench

}  // namespace sluice
