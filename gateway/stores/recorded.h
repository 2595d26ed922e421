// Reads a ledger as recorded requests, all attempts of one together, for replay. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "gateway/stores/sqlite.h"
#include "policies/replay.h"

namespace sluice {

// Who served what and at which cost, for a price where no configuration gives one.
struct RecordedUpstream {
    std::string vendor;
    std::string model;
    PicoSum cost = 0;
    std::int64_t output_tokens = 0;
};

struct RecordedSpan {
    std::int64_t rows = 0;
    std::map<std::string, RecordedUpstream> upstreams;
};

// Upstreams of the rows since then.
Result<RecordedSpan> recorded_span(sqlite3* database, const std::string& path,
                                   std::int64_t since_unix_ms);

// Calls `each` with every request since then, in order. Errors: bad_file.
Status each_recorded(sqlite3* database, const std::string& path, std::int64_t since_unix_ms,
                     const std::function<void(const RecordedRequest&)>& each);

}  // namespace sluice
