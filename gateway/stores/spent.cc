#include "gateway/stores/spent.h"

#include <filesystem>

#include "gateway/stores/ledger_schema.h"
#include "gateway/stores/sqlite.h"

namespace sluice {
namespace {

// An id grows with the time even where the clock goes back: it begins the search, and no more.
// Summed in two halves, which cannot pass int64 before 10^12 rows; by kind first, since a kind is
// a number and a caller three texts.
constexpr const char* spent_sql =
    "SELECT org, team, key_id, SUM(dollars), SUM(rest) FROM ("
    "  SELECT kind, SUM(cost_pico_usd / 1000000) AS dollars, SUM(cost_pico_usd % 1000000) AS rest"
    "  FROM entries WHERE id >= ?1 * 1000 AND started_unix_ms >= ?1 "
    "  AND started_unix_ms < ?2 GROUP BY kind"
    ") CROSS JOIN kinds ON kinds.id = kind "
    // What `sluice eval` asked is nobody's budget.
    "WHERE NOT (key_id = 'eval' AND rule = 'eval') GROUP BY org, team, key_id";

std::string text_of(sqlite3_stmt* row, int column) {
    auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
    return text == nullptr ? "" : text;
}

Money sum_of(std::int64_t micro, std::int64_t pico) {
    __int128 sum = static_cast<__int128>(micro) * 1'000'000 + pico;
    return Money{sum > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(sum)};
}

}  // namespace

Result<std::vector<Budgets::Spent>> read_spent(const std::string& url, std::int64_t since_unix_ms,
                                               std::int64_t until_unix_ms) {
    auto path = sqlite_path(url);
    if (!path) return path.error();
    std::vector<Budgets::Spent> out;
    if (std::error_code no; !std::filesystem::exists(*path, no)) return out;
    auto database = open_ledger_to_read(*path);
    if (!database) return database.error();
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database->get(), spent_sql, -1, &raw, nullptr) != SQLITE_OK)
        return ledger_error(*path, database->get(), "cannot read");
    SqliteStatement rows(raw);
    sqlite3_bind_int64(raw, 1, since_unix_ms);
    sqlite3_bind_int64(raw, 2, until_unix_ms);
    int stepped = 0;
    while ((stepped = sqlite3_step(raw)) == SQLITE_ROW) {
        Budgets::Spent one;
        one.caller.org = text_of(raw, 0);
        one.caller.team = text_of(raw, 1);
        one.caller.key_id = text_of(raw, 2);
        one.cost = sum_of(sqlite3_column_int64(raw, 3), sqlite3_column_int64(raw, 4));
        out.push_back(std::move(one));
    }
    if (stepped != SQLITE_DONE) return ledger_error(*path, database->get(), "cannot read");
    return out;
}

}  // namespace sluice
