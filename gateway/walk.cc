#include "gateway/walk.h"

#include "gateway/learning/recent.h"
#include "policies/golden/golden_set.h"

namespace sluice {

Walk::Walk(SnapshotPtr snapshot_in, const Dialect& dialect_in, const HttpRequest& http_in)
    : snapshot(std::move(snapshot_in)), dialect(dialect_in), http(http_in) {}
Walk::~Walk() = default;

bool Walk::data_stays() const { return route.confined || labels.data_class == restricted_class; }

}  // namespace sluice
