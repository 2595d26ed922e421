// What the tests of this floor share: a small fleet, a policy over it, requests.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "policies/route.h"

namespace sluice {

inline Upstream fake_upstream(const std::string& name, std::int64_t usd_per_mtok = 1) {
    Upstream upstream;
    upstream.name = name;
    upstream.model = name + "-model";
    upstream.price_known = true;
    upstream.price.input = usd_per_mtok * 1'000'000;
    upstream.price.output = usd_per_mtok * 2'000'000;
    upstream.context_tokens = 32'768;
    upstream.images = true;
    return upstream;
}

inline ChatRequest fake_request(const std::string& text, const std::string& model = "auto") {
    ChatRequest request;
    request.model = model;
    Message message;
    Part part;
    part.text = text;
    message.parts.push_back(part);
    request.messages.push_back(message);
    return request;
}

// Policy text to values; a fault fails the test.
inline Policy policy_of(const std::string& yaml, const std::vector<std::string>& upstreams) {
    std::vector<Fault> faults;
    Policy policy = read_policy(yaml, "test.yaml", upstreams, faults);
    for (const Fault& fault : faults) FAIL_CHECK(fault.text());
    REQUIRE(faults.empty());
    return policy;
}

// The upstreams that are tried, in order, or the error.
inline std::string order_of(const Result<Route>& chosen) {
    if (!chosen) return "error: " + chosen.error().message;
    std::string out;
    for (const Attempt& attempt : chosen->attempts)
        out += (out.empty() ? "" : " ") + attempt.upstream->name;
    return out;
}

}  // namespace sluice
