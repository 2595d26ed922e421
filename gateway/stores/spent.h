// What the ledger says was spent, for budgets that begin or go on. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/result.h"
#include "gateway/budgets.h"

namespace sluice {

// By caller, of all attempts that began since then and before `until_unix_ms`. A ledger that is not
// there yet has none. Errors: bad_config (no sqlite:PATH), bad_file.
Result<std::vector<Budgets::Spent>> read_spent(const std::string& url, std::int64_t since_unix_ms,
                                               std::int64_t until_unix_ms);

}  // namespace sluice
