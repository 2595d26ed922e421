// A place in a YAML document that knows its file, line, column and path, and collects every fault
// met, so that one pass reports them all:
//   policies/acme.yaml:14:21: tiers.local.input_per_mtok: expected a number, got 'abc'
// Read each map in one function: need()/find() its keys, then close() it, which faults the
// unknown and duplicate keys that yaml-cpp accepts. Used by one thread while loading.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

struct Fault {
    std::string file;
    int line = 0;    // from 1
    int column = 0;  // from 1
    std::string path;
    std::string message;
    std::string text() const;  // file:line:col: path: message
};

// All faults, one a line, as one Error of code bad_config.
Error faults_error(const std::vector<Fault>& faults);

class Cursor {
public:
    // Parses `yaml`; a syntax error becomes a fault and gives no Cursor. Aliases, merge keys and
    // more than one document are faults too.
    static std::optional<Cursor> parse(std::string_view yaml, const std::string& file,
                                       std::vector<Fault>& faults);

    bool is_map() const { return node_.IsMap(); }
    bool is_list() const { return node_.IsSequence(); }
    bool is_scalar() const { return node_.IsScalar(); }

    std::optional<Cursor> need(const std::string& key);   // a fault at this map when absent
    std::optional<Cursor> find(const std::string& key);   // nothing when absent
    bool expect_map();                                    // a fault when it is something else
    std::vector<Cursor> items();                          // of a list; a fault when it is none
    std::vector<std::pair<std::string, Cursor>> pairs();  // of a map with free keys
    void close();  // faults duplicate keys and keys that nobody asked for

    std::optional<std::string> text();  // non-empty scalar
    std::optional<double> number(double low, double high);
    std::optional<std::int64_t> integer(std::int64_t low, std::int64_t high);
    std::optional<bool> boolean();
    std::optional<std::string> one_of(std::initializer_list<std::string_view> words);
    std::vector<std::string> texts();  // a list of scalars, or one scalar

    void fault(const std::string& message);
    const std::string& path() const { return path_; }
    const std::string& file() const { return file_; }
    int line() const { return node_.Mark().line + 1; }
    std::string plain() const;  // a scalar as it stands, or ""
    bool quoted() const;        // a scalar in quotes: a text, whatever it looks like
    std::string yaml() const;   // all of it, in one form: for digests

private:
    Cursor(YAML::Node node, std::string file, std::string path, std::vector<Fault>& faults);
    std::string shown() const;
    void fault_at(const YAML::Mark& mark, const std::string& path, const std::string& message);

    YAML::Node node_;
    std::string file_;
    std::string path_;
    std::vector<Fault>* faults_;
    std::shared_ptr<std::set<std::string>> known_;
};

// The nearest of `words` to `word` by edit distance, for "did you mean", or "" when none is near.
std::string nearest_word(std::string_view word, const std::vector<std::string>& words);

}  // namespace sluice
