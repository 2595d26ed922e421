// Who calls, and what the call says of itself. Values for one request.
#pragma once

#include <algorithm>
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
    std::string data_class;                                   // as of data_class_of()
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

// A class of data as it is compared, wherever it is said: without white space around it, in lower
// case.
inline std::string data_class_of(std::string_view text) {
    const std::size_t from = std::min(text.find_first_not_of(" \t"), text.size());
    text.remove_prefix(from);
    return lower_case(text.substr(0, text.find_last_not_of(" \t") + 1));
}
inline constexpr std::string_view data_class_shape =
    "expected a class: a word without spaces, quotes, commas or semicolons";
// Visible ASCII, and nothing that would make a list or a quotation of it.
inline bool is_data_class(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f &&
               std::string_view("\"'\\,;={}").find(c) == std::string_view::npos;
    });
}

}  // namespace sluice
