#include "providers/yaml_cursor.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

namespace sluice {
namespace {

// Where documents begin; builds nothing.
class Documents : public YAML::EventHandler {
public:
    void OnDocumentStart(const YAML::Mark& mark) override { begin = mark; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}

    YAML::Mark begin;
};

// A fault where there is more than one document. Looked at first, since yaml-cpp 0.7 goes on for
// ever, and takes memory for it, where a document begins with ',': it reads one after the other
// there, all of them empty.
std::optional<Fault> second_document(const std::string& text) {
    std::istringstream in(text);
    YAML::Parser parser(in);
    Documents documents;
    if (!parser.HandleNextDocument(documents)) return {};
    int first = documents.begin.pos;
    if (!parser.HandleNextDocument(documents)) return {};
    Fault fault{"", 1, 1, "", "expected one YAML document, got several"};
    if (documents.begin.pos != first) return fault;
    fault.line = documents.begin.line + 1;
    fault.column = documents.begin.column + 1;
    fault.message = "not YAML: nothing may begin with this character";
    return fault;
}

}  // namespace

std::string Fault::text() const {
    std::string out = file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
    if (!path.empty()) out += path + ": ";
    return out + message;
}

Error faults_error(const std::vector<Fault>& faults) {
    std::string all;
    for (const Fault& fault : faults) {
        if (!all.empty()) all += '\n';
        all += fault.text();
    }
    return Error(Errc::bad_config, all);
}

Cursor::Cursor(YAML::Node node, std::string file, std::string path, std::vector<Fault>& faults)
    : node_(std::move(node)),
      file_(std::move(file)),
      path_(std::move(path)),
      faults_(&faults),
      known_(std::make_shared<std::set<std::string>>()) {}

std::optional<Cursor> Cursor::parse(std::string_view yaml, const std::string& file,
                                    std::vector<Fault>& faults) {
    try {
        const std::string text(yaml);
        if (auto said = second_document(text)) {
            faults.push_back(Fault{file, said->line, said->column, "", said->message});
            return {};
        }
        YAML::Node document = YAML::Load(text);
        if (document.IsNull()) {
            faults.push_back(Fault{file, 1, 1, "", "expected a YAML map, the file is empty"});
            return {};
        }
        return Cursor(document, file, "", faults);
    } catch (const YAML::DeepRecursion& error) {
        faults.push_back(Fault{file, error.mark.line + 1, error.mark.column + 1, "",
                               "maps and lists nest too deep to be read"});
        return {};
    } catch (const YAML::Exception& error) {  // yaml-cpp reports syntax by exception only
        faults.push_back(
            Fault{file, error.mark.line + 1, error.mark.column + 1, "", "not YAML: " + error.msg});
        return {};
    }
}

std::optional<Cursor> Cursor::find(const std::string& key) {
    known_->insert(key);
    if (!node_.IsMap()) return {};
    for (auto pair : node_) {
        if (!pair.first.IsScalar() || pair.first.Scalar() != key) continue;
        return Cursor(pair.second, file_, path_.empty() ? key : path_ + "." + key, *faults_);
    }
    return {};
}

std::optional<Cursor> Cursor::need(const std::string& key) {
    auto child = find(key);
    if (!child && node_.IsMap()) fault("missing key '" + key + "'");
    return child;
}

bool Cursor::expect_map() {
    if (node_.IsMap()) return true;
    fault("expected a map, got " + shown());
    return false;
}

std::vector<Cursor> Cursor::items() {
    std::vector<Cursor> out;
    if (!node_.IsSequence()) {
        fault("expected a list, got " + shown());
        return out;
    }
    for (std::size_t i = 0; i < node_.size(); ++i)
        out.push_back(Cursor(node_[i], file_, path_ + "[" + std::to_string(i) + "]", *faults_));
    return out;
}

std::vector<std::pair<std::string, Cursor>> Cursor::pairs() {
    std::vector<std::pair<std::string, Cursor>> out;
    if (!expect_map()) return out;
    std::set<std::string> seen;
    for (auto pair : node_) {
        if (!pair.first.IsScalar()) {
            fault_at(pair.first.Mark(), path_, "expected a plain key");
            continue;
        }
        const std::string& key = pair.first.Scalar();
        if (!seen.insert(key).second)
            fault_at(pair.first.Mark(), path_, "duplicate key '" + key + "'");
        out.emplace_back(
            key, Cursor(pair.second, file_, path_.empty() ? key : path_ + "." + key, *faults_));
        known_->insert(key);
    }
    return out;
}

void Cursor::close() {
    if (!expect_map()) return;
    std::set<std::string> seen;
    for (auto pair : node_) {
        if (!pair.first.IsScalar()) {
            fault_at(pair.first.Mark(), path_, "expected a plain key");
            continue;
        }
        const std::string& key = pair.first.Scalar();
        if (!seen.insert(key).second) {
            fault_at(pair.first.Mark(), path_, "duplicate key '" + key + "'");
        } else if (!known_->count(key)) {
            std::string near =
                nearest_word(key, std::vector<std::string>(known_->begin(), known_->end()));
            std::string hint = near.empty() ? "" : ", did you mean '" + near + "'?";
            fault_at(pair.first.Mark(), path_, "unknown key '" + key + "'" + hint);
        }
    }
}

std::optional<std::string> Cursor::text() {
    if (node_.IsScalar() && !node_.Scalar().empty()) return node_.Scalar();
    fault("expected a text, got " + shown());
    return {};
}

std::optional<double> Cursor::number(double low, double high) {
    double value = 0;
    if (!node_.IsScalar() || !YAML::convert<double>::decode(node_, value) ||
        !std::isfinite(value)) {
        fault("expected a number, got " + shown());
        return {};
    }
    if (value < low || value > high) {
        char range[96];
        std::snprintf(range, sizeof range, "expected %g to %g, got ", low, high);
        fault(range + shown());
        return {};
    }
    return value;
}

std::optional<std::int64_t> Cursor::integer(std::int64_t low, std::int64_t high) {
    std::int64_t value = 0;
    if (node_.IsScalar()) {
        const std::string& text = node_.Scalar();
        auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (failed == std::errc() && end == text.data() + text.size()) {
            if (value >= low && value <= high) return value;
            fault("expected " + std::to_string(low) + " to " + std::to_string(high) + ", got " +
                  shown());
            return {};
        }
    }
    fault("expected a whole number, got " + shown());
    return {};
}

std::optional<bool> Cursor::boolean() {
    if (node_.IsScalar() && node_.Scalar() == "true") return true;
    if (node_.IsScalar() && node_.Scalar() == "false") return false;
    fault("expected true or false, got " + shown());
    return {};
}

std::optional<std::string> Cursor::one_of(std::initializer_list<std::string_view> words) {
    std::string listed;
    for (std::string_view word : words) {
        if (node_.IsScalar() && node_.Scalar() == word) return std::string(word);
        listed += (listed.empty() ? "" : ", ") + std::string(word);
    }
    fault("expected one of " + listed + ", got " + shown());
    return {};
}

std::vector<std::string> Cursor::texts() {
    std::vector<std::string> out;
    if (node_.IsScalar()) {
        if (auto one = text()) out.push_back(*one);
        return out;
    }
    for (Cursor& item : items())
        if (auto one = item.text()) out.push_back(*one);
    return out;
}

void Cursor::fault(const std::string& message) { fault_at(node_.Mark(), path_, message); }

std::string Cursor::plain() const { return node_.IsScalar() ? node_.Scalar() : ""; }

bool Cursor::quoted() const { return node_.IsScalar() && node_.Tag() == "!"; }

std::string Cursor::yaml() const { return YAML::Dump(node_); }

std::string Cursor::shown() const {
    if (node_.IsScalar()) return "'" + node_.Scalar() + "'";
    if (node_.IsMap()) return "a map";
    if (node_.IsSequence()) return "a list";
    return "nothing";
}

void Cursor::fault_at(const YAML::Mark& mark, const std::string& path, const std::string& message) {
    faults_->push_back(Fault{file_, mark.line + 1, mark.column + 1, path, message});
}

namespace {

// Insertions, deletions, substitutions and swaps of neighbours, each 1.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min(
                {above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& words) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : words) {
        std::size_t distance = edit_distance(word, candidate);
        if (distance >= best_distance) continue;
        best_distance = distance;
        best = candidate;
    }
    return best;
}

}  // namespace sluice
