#include "gateway/walk.h"

#include "gateway/learning/recent.h"

namespace sluice {

Walk::Walk(SnapshotPtr snapshot_in, const Dialect& dialect_in, const HttpRequest& http_in)
    : snapshot(std::move(snapshot_in)), dialect(dialect_in), http(http_in) {}
Walk::~Walk() = default;

}  // namespace sluice
