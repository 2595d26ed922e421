// The configuration file's keys: read here, once each. Part of gateway/config.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "providers/yaml_cursor.h"

namespace sluice {

struct Config;
struct PolicyRollback;

// Fills `config` from the file's text and the files it names. Appends every fault.
void read_config(const std::string& yaml, const std::string& file, const std::string& date,
                 Config& config, std::vector<Fault>& faults, const PolicyRollback* instead);

// The section `budgets`; the keys have been read. Part of gateway/budgets_yaml.cc.
void read_budgets(Cursor& root, Config& config);

// A variable of the environment, or "".
std::string environment(const std::string& name);
// "${NAME:-default}" anywhere in the text; a fault when NAME is unset and has no default.
std::string expand(Cursor& at, const std::string& text);
// `ledger.url`, its path from the folder of the configuration `file`; a fault and "" when it is
// something else.
std::string read_ledger_url(Cursor& url, const std::string& file);

// "127.0.0.1:8080" or "[::1]:8080"; false when it is neither, then nothing is set.
bool parse_listen(const std::string& text, std::string& address, std::uint16_t& port);

// A path as a configuration names it: from the folder of the file that names it, or absolute.
std::string beside(const std::string& file, std::string_view path);

// The bytes of a file, or nothing when it cannot be read or is over 16 MiB.
std::optional<std::string> read_text_file(const std::string& path);

}  // namespace sluice
