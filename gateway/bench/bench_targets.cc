#include "gateway/bench/bench_targets.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "policies/sha256.h"

namespace sluice::bench {
namespace {

constexpr std::string_view bench_key = "sk-sluice-bench-0123456789";
constexpr int keys = 1'000;

// One process, one core, connections to the upstream kept, nothing buffered, nothing logged.
std::string nginx_config(int port, int upstream_port, const std::string& folder) {
    std::string text = "user root;\nworker_processes 1;\nmaster_process off;\ndaemon off;\n";
    text += "pid " + folder + "/nginx.pid;\nerror_log " + folder + "/nginx.error.log;\n";
    text += "events { worker_connections 16384; }\nhttp {\n  access_log off;\n";
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
        text += std::string("  ") + kind + "_temp_path " + folder + "/" + kind + ";\n";
    text += "  keepalive_requests 1000000000;\n  tcp_nodelay on;\n  upstream scripted {\n";
    text += "    server 127.0.0.1:" + std::to_string(upstream_port) + ";\n    keepalive 4096;\n";
    text += "    keepalive_requests 1000000000;\n  }\n  server {\n";
    text += "    listen 127.0.0.1:" + std::to_string(port) + " backlog=4096;\n    location / {\n";
    text += "      proxy_pass http://scripted;\n      proxy_http_version 1.1;\n";
    text += "      proxy_set_header Connection \"\";\n      proxy_buffering off;\n    }\n  }\n}\n";
    return text;
}

// Writes the gateway's config and what it names: a thousand keys, three tiers, two rules, the
// built-in classifier, prices, the ledger in a file. Gives the config's path.
std::string write_gateway_config(int port, int upstream_port, const ScratchFolder& folder) {
    std::string config = "version: 1\nlisten: 127.0.0.1:" + std::to_string(port) +
                         "\nio_threads: 1\nledger: {url: \"sqlite:ledger.db\"}\n"
                         "policy: policy.yaml\nprices: prices.yaml\nkeys:\n";
    for (int i = 0; i < keys; ++i) {
        std::string secret = i == keys / 2 ? std::string(bench_key) : "sk-" + std::to_string(i);
        config += "  - {id: key" + std::to_string(i) + ", team: bench, sha256: \"" +
                  sha256_hex(secret) + "\"}\n";
    }
    std::string prices = "version: 1\nprices:\n";
    config += "upstreams:\n";
    for (const char* tier : {"local", "open", "frontier"}) {
        config += std::string("  - {name: bench-") + tier + ", vendor: vllm, model: bench-" + tier +
                  ", base_url: \"http://127.0.0.1:" + std::to_string(upstream_port) + "/v1\"}\n";
        prices += std::string("  - {vendor: vllm, model: bench-") + tier +
                  ", input: \"0.55\", output: \"2.19\", source: made up, checked: 2026-01-01}\n";
    }
    folder.write("prices.yaml", prices);
    folder.write("policy.yaml",
                 "version: 1\ntiers:\n  local: [bench-local]\n  open: [bench-open]\n"
                 "  frontier: [bench-frontier]\nrules:\n"
                 "  - name: restricted data stays home\n    when: {data_class: [restricted]}\n"
                 "    use: local\n    on_unavailable: refuse\n"
                 "  - name: long prompts\n    when: {input_tokens: {min: 100000}}\n"
                 "    use: frontier\ndefault:\n  bands:\n    - {below: 0.45, tier: local}\n"
                 "    - {below: 0.75, tier: open}\n    - {tier: frontier}\n");
    return folder.write("gateway.yaml", config);
}

}  // namespace

Result<BenchTarget> start_target(const std::string& name, const GatewayBenchPlan& plan,
                                 int upstream_port, int core, const ScratchFolder& folder) {
    BenchTarget target;
    target.name = name;
    target.target.port = upstream_port;
    if (name == "direct") return target;
    target.target.port = free_port();
    target.target.head = "Authorization: Bearer " + std::string(bench_key) + "\r\n";
    std::vector<std::string> command;
    if (name == "nginx") {
        std::string config = folder.write(
            "nginx.conf", nginx_config(target.target.port, upstream_port, folder.path()));
        command = {plan.nginx, "-c", config, "-p", folder.path()};
    } else {
        std::string config = write_gateway_config(target.target.port, upstream_port, folder);
        command = {plan.sluice, "serve", "--config", config};
    }
    auto process = TargetProcess::start(command, core, folder.path() + "/" + name + ".log");
    if (!process) return process.error();
    target.process = std::move(*process);
    if (!wait_for_port(target.target.port, *target.process))
        return Error(Errc::internal, name + " did not start" + target_log(folder, name));
    return target;
}

std::string target_log(const ScratchFolder& folder, const std::string& name) {
    std::ifstream file(folder.path() + "/" + name + ".log");
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (text.empty()) return "";
    constexpr std::size_t shown_max = 2'000;
    if (text.size() > shown_max) text.erase(0, text.size() - shown_max);
    return "; it said:\n" + text;
}

}  // namespace sluice::bench
