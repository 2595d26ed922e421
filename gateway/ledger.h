// The ledger: one appended row an attempt, in SQLite (WAL), written by one thread with group
// commit. append() may be called from any io thread and completes when the rows are committed.
// No row is dropped: when the store fails (disk full) rows wait and are tried again. From
// queue_entries_max on, or while the store fails, healthy() is false and the gateway takes on no
// new work, so what can still come is bounded by the requests in flight. Rows that cannot be
// written at the process's end are logged whole.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "engine/result.h"
#include "gateway/ledger_entry.h"

namespace sluice {

namespace net = boost::asio;

class Ledger {
public:
    // Errors: bad_config (what the URL should look like), bad_file (cannot open or migrate).
    static Result<std::unique_ptr<Ledger>> open(const LedgerOptions& options);
    virtual ~Ledger() = default;  // writes what is queued, then closes

    virtual net::awaitable<Status> append(std::vector<LedgerEntry> entries) = 0;
    // Of a request one outcome a kind is kept: the first.
    virtual net::awaitable<Status> append(Outcome outcome) = 0;
    virtual bool healthy() const = 0;
    virtual std::size_t queued() const = 0;
};

}  // namespace sluice
