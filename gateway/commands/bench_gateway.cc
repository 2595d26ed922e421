// `sluice bench gateway`: what the gateway costs, printed beside nginx and a direct call.
#include <cstdio>
#include <filesystem>
#include <functional>

#include "engine/log.h"
#include "gateway/bench/gateway_bench.h"
#include "gateway/bench/machine.h"
#include "gateway/commands.h"

namespace sluice {
namespace {

using bench::machine;
using bench::ServerFigures;
using bench::today;
using bench::Turn;

struct Row {
    const char* title;
    const char* key;  // in --json
    double ServerFigures::*figure;
    int decimals;
    bool ratio;  // a ratio to nginx means something
};

constexpr Row rows[] = {
    {"requests/s on one core", "requests_per_s", &ServerFigures::requests_per_s, 0, true},
    {"CPU us a request", "cpu_us_per_request", &ServerFigures::request_cpu_us, 2, true},
    {"  of it in user space", "user_us_per_request", &ServerFigures::request_user_us, 2, true},
    {"  its core was busy", "core_share", &ServerFigures::core_share, 2, false},
    {"CPU us a streamed token", "cpu_us_per_token", &ServerFigures::token_cpu_us, 2, true},
    {"  events a token", "events_per_token", &ServerFigures::events_per_token, 3, false},
    {"answer, 1 connection, us", "answer_us", &ServerFigures::answer_us, 0, false},
    {"first token, 1 stream, us", "first_token_us", &ServerFigures::first_token_us, 0, false},
    {"memory an open stream, KiB", "kib_per_stream", &ServerFigures::stream_kib, 1, true},
};

double over_turns(const std::vector<Turn>& turns, const std::function<double(const Turn&)>& of) {
    std::vector<double> values;
    for (const Turn& turn : turns) values.push_back(of(turn));
    return bench::median(values);
}

double figure_of(const std::vector<Turn>& turns, const std::string& name, const Row& row) {
    return over_turns(turns, [&](const Turn& turn) { return turn.at(name).*row.figure; });
}

// The gateway's figure over nginx's: the median of the turns' ratios.
double ratio_of(const std::vector<Turn>& turns, const Row& row) {
    return over_turns(turns, [&](const Turn& turn) {
        double base = turn.at("nginx").*row.figure;
        return base > 0 ? turn.at("gateway").*row.figure / base : 0;
    });
}

double added_first_token_us(const std::vector<Turn>& turns, const std::string& name) {
    return over_turns(turns, [&](const Turn& turn) {
        return turn.at(name).first_token_us - turn.at("direct").first_token_us;
    });
}

std::string number(double value, int decimals) {
    char text[40];
    std::snprintf(text, sizeof text, "%.*f", decimals, value);
    return text;
}

std::vector<std::string> names_of(const std::vector<Turn>& turns) {
    std::vector<std::string> names;
    for (const char* name : {"direct", "nginx", "gateway"})
        if (turns.front().count(name) > 0) names.push_back(name);
    return names;
}

void print_table(const std::vector<Turn>& turns, const std::string& command) {
    auto names = names_of(turns);
    bool both = names.size() == 3;
    std::printf("%s\n%s, %s; medians of %zu turns; every answer was right\n\n%-28s",
                command.c_str(), machine().c_str(), today().c_str(), turns.size(), "");
    for (const auto& name : names) std::printf("%12s", name.c_str());
    std::printf("%s\n", both ? "   gateway/nginx" : "");
    for (const Row& row : rows) {
        std::printf("%-28s", row.title);
        for (const auto& name : names) {
            double value = figure_of(turns, name, row);
            std::printf("%12s", value > 0 ? number(value, row.decimals).c_str() : "-");
        }
        std::printf("%16s\n", both && row.ratio ? number(ratio_of(turns, row), 2).c_str() : "");
    }
    std::printf("%-28s%12s", "added first-token time, us", "-");
    for (const auto& name : names)
        if (name != "direct")
            std::printf("%12s", number(added_first_token_us(turns, name), 0).c_str());
    std::printf("\n");
}

void print_json(const std::vector<Turn>& turns, const std::string& command) {
    std::string out = "{\"command\":";
    append_json_string(out, command);
    out += ",\"machine\":";
    append_json_string(out, machine());
    out += ",\"date\":\"" + today() + "\",\"turns\":" + std::to_string(turns.size());
    auto names = names_of(turns);
    for (const auto& name : names) {
        out += ",\"" + name + "\":{";
        for (const Row& row : rows)
            out +=
                std::string("\"") + row.key + "\":" + number(figure_of(turns, name, row), 3) + ",";
        out += "\"added_first_token_us\":" + number(added_first_token_us(turns, name), 1) + "}";
    }
    if (names.size() == 3) {
        out += ",\"ratio_to_nginx\":{";
        const char* comma = "";
        for (const Row& row : rows) {
            if (!row.ratio) continue;
            out += std::string(comma) + "\"" + row.key + "\":" + number(ratio_of(turns, row), 3);
            comma = ",";
        }
        out += "}";
    }
    std::printf("%s}\n", out.c_str());
}

int run(bench::GatewayBenchPlan plan, bool json) {
    std::error_code none;
    plan.sluice = std::filesystem::read_symlink("/proc/self/exe", none).string();
    if (!plan.nginx.empty() && !std::filesystem::exists(plan.nginx)) {
        std::fprintf(stderr, "no nginx at %s (Debian package nginx-light); going on without it\n",
                     plan.nginx.c_str());
        plan.nginx.clear();
    }
    auto turns = bench::run_gateway_bench(plan);
    if (!turns) {
        std::fprintf(stderr, "%s\n", turns.error().message.c_str());
        return 1;
    }
    std::string command = "sluice bench gateway --turns " + std::to_string(plan.turns);
    if (json) {
        print_json(*turns, command);
    } else {
        print_table(*turns, command);
    }
    return 0;
}

}  // namespace

void add_bench_gateway(Command& bench, int& status) {
    Command command = bench.add_subcommand(
        "gateway", "Cost of a request and a streamed token beside nginx and a direct call");
    command.footer("Example:\n  sluice bench gateway --turns 3\nNeeds two cores, and nginx.");
    auto plan = std::make_shared<bench::GatewayBenchPlan>();
    auto json = std::make_shared<bool>(false);
    plan->nginx = "/usr/sbin/nginx";
    command.add_option("--turns", plan->turns, "how often each server is measured")
        .in_range(1, 100);
    command.add_option("--seconds", plan->seconds, "of the request phase").in_range(0.1, 600.0);
    command.add_option("--connections", plan->connections, "of the request phase")
        .in_range(1, 4'000);
    command.add_option("--streams", plan->streams, "at once in the token phase").in_range(1, 4'000);
    command.add_option("--open-streams", plan->open_streams, "in the memory phase")
        .in_range(1, 4'000);
    command.add_option("--nginx", plan->nginx, "nginx's path; '' leaves it out");
    command.add_flag("--json", *json, "one JSON object");
    command.callback([plan, json, &status] { status = run(*plan, *json); });
}

}  // namespace sluice
