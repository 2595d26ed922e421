// Who calls, and what the call says of itself. Values for one request.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "providers/money.h"

namespace sluice {

// What a virtual key proves.
struct Caller {
    std::string org;
    std::string team;
    std::string key_id;
    std::string user;
    bool admin = false;  // may see and change what concerns all teams
    int priority = 0;    // of its sequences in the engine: SubmitOptions::priority
};

// What the request's headers say: x-sluice-tags, -data-class, -session-id, -max-cost-usd.
struct Labels {
    std::map<std::string, std::string, std::less<>> tags;
    std::map<std::string, std::string, std::less<>> headers;  // those that the policy may match
    std::string data_class;                                   // in lower case
    std::string session_id;
    std::optional<Money> max_cost;
};

// ASCII letters in lower case: classes of data and headers' names are compared like that.
inline std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 32);
    return out;
}

}  // namespace sluice
