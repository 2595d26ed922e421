// One callable place: vendor + model + endpoint + price. The embedded engine is one.
// Immutable part of a config snapshot: policies read it, the gateway's fleet calls it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "providers/usage.h"
#include "providers/vendor.h"

namespace sluice {

// Prints *** wherever it is printed; the value leaves only by reveal().
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    const std::string& reveal() const { return value_; }
    bool empty() const { return value_.empty(); }

private:
    std::string value_;
};

// Limits of one attempt, milliseconds.
struct Deadlines {
    int connect_ms = 5'000;
    int first_token_ms = 60'000;  // from the call to the first answer delta, streams only
    int inter_token_ms = 30'000;  // between two deltas
    int total_ms = 600'000;
};

struct Upstream {
    std::string name;      // what policies and callers use: open-together
    Vendor vendor;         // a copy with the config's overrides applied; name "engine" = embedded
    std::string model;     // what the vendor calls it
    std::string base_url;  // no trailing slash
    Secret api_key;
    Deadlines deadlines;
    bool price_known = false;  // false fails closed: the upstream is not callable
    Price price;
    Money machine_hour;               // of the embedded engine's machine; 0 where there is none
    std::string price_source;         // for reports: "prices.yaml together/deepseek-r1 2026-08-21"
    std::int64_t context_tokens = 0;  // 0 = unknown, not checked
    std::int64_t output_tokens_default = 4096;  // assumed where the client gives no max_tokens
    bool tools = true;
    bool images = false;
    bool json_schema = true;
    bool local() const { return vendor.name == "engine"; }
};

}  // namespace sluice
