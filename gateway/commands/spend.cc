// sluice spend: the bill, summed from the ledger. Sums are exact: pico-dollars in 128 bits.
// saved_usd is baseline_usd less cost_usd: negative where attempts that did not answer, or dear
// tiers, cost more than the frontier tier would have.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/stores/since.h"
#include "gateway/stores/sqlite.h"
#include "policies/dollars.h"

namespace sluice {
namespace {

struct SpendOptions {
    std::string ledger;
    std::vector<std::string> by{"tier", "team", "model"};
    std::string since = "24h";
    std::string format = "table";
    bool json = false;
};

// What one may sum by, and the column behind it.
const std::map<std::string, std::string> columns{
    {"tier", "tier"},         {"team", "team"},
    {"model", "model"},       {"upstream", "upstream"},
    {"vendor", "vendor"},     {"key", "key_id"},
    {"user", "user"},         {"org", "org"},
    {"rule", "rule"},         {"session", "session_id"},
    {"outcome", "outcome"},   {"policy", "policy_version"},
    {"asked", "model_asked"}, {"day", "date(started_unix_ms / 1000, 'unixepoch')"}};

struct Line {
    std::vector<std::string> by;
    std::int64_t requests = 0;  // answered ones
    std::int64_t attempts = 0;
    std::int64_t in = 0, cached = 0, out = 0, reasoning = 0;
    PicoSum cost = 0, baseline = 0;
};

Result<std::string> query_of(const std::vector<std::string>& by) {
    std::string keys;
    for (const std::string& name : by) {
        auto column = columns.find(name);
        if (column == columns.end()) {
            std::string known;
            for (const auto& [one, _] : columns) known += (known.empty() ? "" : ", ") + one;
            return Error(Errc::invalid_request,
                         "--by: no column '" + name + "', there are " + known);
        }
        keys += column->second + ", ";
    }
    // Dollars are summed in two halves, which cannot pass int64 before 10^12 rows.
    std::string sql = "SELECT " + keys +
                      "SUM(answered), COUNT(*), SUM(in_uncached + in_cache_write + "
                      "in_cache_write_1h), SUM(in_cache_read), SUM(out_text), SUM(out_reasoning), "
                      "SUM(cost_pico_usd / 1000000), SUM(cost_pico_usd % 1000000), "
                      "SUM(baseline_pico_usd / 1000000), SUM(baseline_pico_usd % 1000000) "
                      "FROM attempts WHERE id >= ?1 * 1000 AND started_unix_ms >= ?1";
    if (by.empty()) return sql;
    std::string numbers;
    for (std::size_t i = 1; i <= by.size(); ++i) numbers += (i > 1 ? ", " : "") + std::to_string(i);
    return sql + " GROUP BY " + numbers + " ORDER BY " + numbers;
}

Line read_line(sqlite3_stmt* row, std::size_t keys) {
    Line line;
    int at = 0;
    for (; at < static_cast<int>(keys); ++at) {
        auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, at));
        line.by.emplace_back(text == nullptr ? "" : text);
    }
    for (std::int64_t* field :
         {&line.requests, &line.attempts, &line.in, &line.cached, &line.out, &line.reasoning})
        *field = sqlite3_column_int64(row, at++);
    line.cost =
        PicoSum{sqlite3_column_int64(row, at)} * 1'000'000 + sqlite3_column_int64(row, at + 1);
    line.baseline =
        PicoSum{sqlite3_column_int64(row, at + 2)} * 1'000'000 + sqlite3_column_int64(row, at + 3);
    return line;
}

Result<std::vector<Line>> read_lines(const SpendOptions& options) {
    auto from = since_ms(options.since);
    if (!from) return from.error();
    auto sql = query_of(options.by);
    if (!sql) return sql.error();
    auto path = sqlite_path(options.ledger);
    if (!path) return path.error();
    auto database = open_ledger_to_read(*path);
    if (!database) return database.error();
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database->get(), sql->c_str(), -1, &raw, nullptr) != SQLITE_OK)
        return Error(Errc::bad_file, "ledger " + *path + ": " + sqlite3_errmsg(database->get()));
    SqliteStatement statement(raw);
    sqlite3_bind_int64(raw, 1, *from);
    std::vector<Line> lines;
    int stepped = 0;
    while ((stepped = sqlite3_step(raw)) == SQLITE_ROW)
        lines.push_back(read_line(raw, options.by.size()));
    if (stepped != SQLITE_DONE)
        return Error(Errc::bad_file, "ledger " + *path + ": " + sqlite3_errmsg(database->get()));
    return lines;
}

Line total_of(const std::vector<Line>& lines, std::size_t keys) {
    Line total;
    total.by.assign(keys, "");
    if (keys > 0) total.by[0] = "total";
    for (const Line& line : lines) {
        total.requests += line.requests;
        total.attempts += line.attempts;
        total.in += line.in;
        total.cached += line.cached;
        total.out += line.out;
        total.reasoning += line.reasoning;
        total.cost += line.cost;
        total.baseline += line.baseline;
    }
    return total;
}

std::vector<std::string> cells_of(const Line& line) {
    std::vector<std::string> cells = line.by;
    for (std::int64_t count :
         {line.requests, line.attempts, line.in, line.cached, line.out, line.reasoning})
        cells.push_back(std::to_string(count));
    cells.push_back(sum_text(line.cost));
    cells.push_back(sum_text(line.baseline));
    cells.push_back(sum_text(line.baseline - line.cost));
    return cells;
}

std::vector<std::string> head_of(const SpendOptions& options) {
    std::vector<std::string> head = options.by;
    for (const char* name :
         {"requests", "attempts", "in_tokens", "in_cache_read_tokens", "out_text_tokens",
          "out_reasoning_tokens", "cost_usd", "baseline_usd", "saved_usd"})
        head.emplace_back(name);
    return head;
}

void print_table(const SpendOptions& options, const std::vector<Line>& lines) {
    std::vector<std::vector<std::string>> rows{head_of(options)};
    for (const Line& line : lines) rows.push_back(cells_of(line));
    std::vector<std::size_t> widths(rows[0].size());
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    for (const auto& row : rows) {
        std::string text;
        for (std::size_t i = 0; i < row.size(); ++i) {
            std::string pad(widths[i] - row[i].size(), ' ');
            text += i < options.by.size() ? row[i] + pad : pad + row[i];
            if (i + 1 < row.size()) text += "  ";
        }
        std::printf("%s\n", text.c_str());
    }
}

void print_csv(const SpendOptions& options, const std::vector<Line>& lines) {
    auto print = [](const std::vector<std::string>& cells) {
        std::string text;
        for (std::string cell : cells) {
            if (cell.find_first_of(",\"\n\r") != std::string::npos) {
                for (std::size_t i = 0; (i = cell.find('"', i)) != std::string::npos; i += 2)
                    cell.insert(i, 1, '"');
                cell = '"' + cell + '"';
            }
            text += (text.empty() ? "" : ",") + cell;
        }
        std::printf("%s\n", text.c_str());
    };
    print(head_of(options));
    for (const Line& line : lines) print(cells_of(line));
}

std::string json_of(const SpendOptions& options, const Line& line) {
    std::vector<std::string> head = head_of(options);
    std::vector<std::string> cells = cells_of(line);
    std::string out = "{";
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) out += ',';
        append_json_string(out, head[i]);
        out += ':';
        if (i < line.by.size())
            append_json_string(out, cells[i]);
        else
            out += cells[i];
    }
    return out + "}";
}

int spend(SpendOptions options) {
    auto lines = read_lines(options);
    if (!lines) {
        std::fprintf(stderr, "%s\n", lines.error().message.c_str());
        // What was asked was wrong, or the ledger is.
        return lines.error().code == Errc::bad_file ? 1 : 2;
    }
    Line total = total_of(*lines, options.by.size());
    if (options.json) options.format = "json";
    if (options.format == "json") {
        std::string rows;
        for (const Line& line : *lines) rows += (rows.empty() ? "" : ",") + json_of(options, line);
        std::printf("{\"since\":\"%s\",\"rows\":[%s],\"total\":%s}\n", options.since.c_str(),
                    rows.c_str(), json_of(options, total).c_str());
        return 0;
    }
    if (!options.by.empty()) lines->push_back(total);
    if (options.format == "csv")
        print_csv(options, *lines);
    else
        print_table(options, *lines);
    return 0;
}

}  // namespace

void add_spend(Command& app, int& status) {
    Command command = app.add_subcommand("spend", "Print the bill, summed from the ledger");
    auto options = std::make_shared<SpendOptions>();
    command.add_option("--ledger", options->ledger, "sqlite:PATH").required();
    command.add_option("--by", options->by, "columns to sum by").delimiter(',');
    command.add_option("--since", options->since, "30m, 24h, 7d or all (default 24h)");
    command.add_option("--format", options->format, "table, csv or json")
        .one_of({"table", "csv", "json"});
    command.add_flag("--json", options->json, "the same as --format json");
    command.footer(
        "Example:\n  sluice spend --ledger sqlite:var/ledger.db --by tier,team,model "
        "--since 24h");
    command.callback([options, &status] { status = spend(*options); });
}

}  // namespace sluice
