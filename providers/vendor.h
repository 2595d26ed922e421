// Who serves a model, and the quirks of their wire. Data in providers/vendors.yaml.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

struct Vendor {
    std::string name;  // together, openai, anthropic, ...
    std::string display_name;
    std::string base_url;     // https://api.openai.com/v1; "" = the config must give one
    std::string dialect;      // openai_chat | anthropic_messages
    std::string auth_header;  // Authorization | x-api-key
    std::string auth_prefix;  // "Bearer " | ""
    std::string key_env;      // TOGETHER_API_KEY; "" = none needed
    std::map<std::string, std::string> headers;  // sent with every call: anthropic-version
    // Quirks of the wire, false/empty = plain OpenAI:
    std::string max_tokens_field = "max_tokens";  // openai reasoning models: max_completion_tokens
    bool stream_options = true;                   // understands stream_options.include_usage
    bool developer_role = false;  // "developer" may be sent; otherwise it becomes "system"
    bool inline_think = false;    // <think>...</think> comes inside content
    std::vector<std::string> drop_parameters;  // refused by the vendor although harmless
    bool simulated = false;                    // answers come from a simulator and say so
};

// Name -> vendor. Immutable after load.
using Vendors = std::map<std::string, Vendor, std::less<>>;

struct Fault;

// Format: see providers/vendors.yaml. Every fault of the file is appended to `faults`; what comes
// back then holds the good entries.
Vendors read_vendors(std::string_view yaml, const std::string& file, std::vector<Fault>& faults);

// The copy of vendors.yaml built into the binary. Its faults are a bug: the suite loads it.
const Vendors& builtin_vendors();

}  // namespace sluice
