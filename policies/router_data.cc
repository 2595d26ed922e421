#include "policies/router_data.h"

#include <simdjson.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>

#include "policies/sha256.h"
#include "policies/text_window.h"

namespace sluice {
namespace {

const unsigned char ordinary_bytes[] = {
#include "embedded/ordinary_prompts.inc"
};

constexpr std::size_t file_bytes_max = std::size_t{256} << 20;
constexpr std::size_t rows_max = 2'000'000;
constexpr double none = std::numeric_limits<double>::quiet_NaN();
constexpr double steps_usual = 3.2, steps_spread = 1.4;  // of word problems: about mean, deviation
constexpr double chars_per_token = 4;  // of English prose; good enough for a logarithm

using Object = simdjson::dom::object;

double number(const Object& row, std::string_view key) {
    double value = none;
    if (row[key].get(value) != simdjson::SUCCESS) return none;
    return value;
}

std::string_view text(const Object& row, std::string_view key) {
    std::string_view value;
    if (row[key].get(value) != simdjson::SUCCESS) return "";
    return value;
}

// The domains whose prompts want working out, and those that do not; the rest say neither, unless
// the subset does ("v2.0/coding" of the domain "chat").
double reasoning_of(std::string_view domain, std::string_view subset) {
    if (subset.ends_with("/coding") || subset.ends_with("/math")) return 1;
    for (std::string_view one : {"math", "code", "stem", "logic"})
        if (domain == one) return 1;
    for (std::string_view one :
         {"factual", "commonsense", "writing", "reading", "knowledge", "smalltalk", "extraction"})
        if (domain == one) return 0;
    return none;
}

// The head that says a text's kind, by the data's domain; nothing where that says neither.
std::string_view kind_of(std::string_view domain, std::string_view subset) {
    constexpr std::pair<std::string_view, std::string_view> kinds[] = {
        {"code", "code"},          {"math", "maths"},          {"factual", "factual"},
        {"knowledge", "factual"},  {"commonsense", "factual"}, {"writing", "writing"},
        {"extraction", "writing"}, {"smalltalk", "writing"},   {"reading", "writing"},
        {"stem", "other"},         {"logic", "other"}};
    if (subset.ends_with("/coding")) return "code";
    if (subset.ends_with("/math")) return "maths";
    for (auto [name, kind] : kinds)
        if (domain == name) return kind;
    return "";
}

// P(a small model is right): the share of reference models that are, or, where only the scale 1
// (any 7B chat model answers it) to 5 (frontier only) is known, the middle of the share that the
// scale's steps stand for. One model's outcome says less of a text that is no exam.
double local_ok(const Object& row) {
    double solved = number(row, "p_solve");
    if (!std::isnan(solved)) return std::clamp(solved, 0.0, 1.0);
    double level = number(row, "difficulty");
    if (std::isnan(level)) return none;
    constexpr double shares[] = {0.95, 0.72, 0.48, 0.22, 0.03};
    auto at = static_cast<std::size_t>(std::clamp(level, 1.0, 5.0)) - 1;
    return shares[at];
}

double quality(const Object& row, std::string_view score, std::string_view correct) {
    double graded = number(row, score);
    return std::isnan(graded) ? number(row, correct) : graded;
}

double& of(RouterRow& row, Head head) { return row.target[static_cast<std::size_t>(head)]; }

double log_tokens(double chars) {
    return std::isnan(chars) ? none : std::log(std::max(chars / chars_per_token, 1.0));
}

void read_labels(const Object& json, RouterRow& row) {
    of(row, Head::reasoning) = reasoning_of(text(json, "domain"), text(json, "subset"));
    of(row, Head::log_output_local) = log_tokens(number(json, "ref_out_chars"));
    of(row, Head::log_output_frontier) = log_tokens(number(json, "ref_out_chars"));
    row.weak = quality(json, "weak_score", "weak_correct");
    row.strong = quality(json, "strong_score", "strong_correct");
    of(row, Head::local_ok) = local_ok(json);
    if (text(json, "native_scale").starts_with("calculator steps"))
        of(row, Head::steps) = (number(json, "native_difficulty") - steps_usual) / steps_spread;
    std::string_view kind = text(json, "label_kind");
    if (kind == "coarse") row.weight = 0.5;   // one value for a whole source
    if (kind == "judgement") row.weight = 2;  // few, and all there is of everyday traffic
}

void read_bench_labels(const Object& json, RouterRow& row) {
    row.source = "routellm/" + row.source;
    row.weak = number(json, "weak");
    row.strong = number(json, "strong");
    if (row.weak >= 0 && row.weak <= 1) of(row, Head::local_ok) = row.weak;
    of(row, Head::log_output_local) = log_tokens(number(json, "weak_out_chars"));
    of(row, Head::log_output_frontier) = log_tokens(number(json, "strong_out_chars"));
    if (row.source == "routellm/gsm8k") of(row, Head::reasoning) = 1;
}

bool is_word_problem(std::string_view source, std::string_view subset) {
    for (std::string_view one : {"gsm8k_train", "svamp", "routellm/gsm8k"})
        if (source == one) return true;
    return subset == "gsm8k" || subset == "agentverse-mgsm";
}

// Which forests an outcome teaches depends on the kind of text.
void label_by_kind(std::string_view domain, std::string_view subset, RouterRow& row) {
    bool choice = row.options >= options_min, exam = row.options > choice_options_max;
    bool problem = !choice && is_word_problem(row.source, subset);
    if (!choice) {
        of(row, Head::problem) = problem ? 1 : 0;
        std::string_view kind = kind_of(domain, subset);
        auto label = [&](Head head, std::string_view name) {
            if (!kind.empty()) of(row, head) = kind == name ? 1 : 0;
        };
        label(Head::code, "code");
        label(Head::maths, "maths");
        label(Head::factual, "factual");
        label(Head::writing, "writing");
    }
    row.kind = exam ? Kind::exam : choice ? Kind::choice : problem ? Kind::problem : Kind::open;
    bool pair = row.weak >= 0 && row.strong >= 0;
    if (row.kind == Kind::open) of(row, Head::measured) = pair ? 1 : 0;
}

std::optional<std::string> read_row(const simdjson::dom::element& element, RouterRow& row) {
    Object json;
    if (element.get(json) != simdjson::SUCCESS) return "expected a JSON object";
    std::string_view prompt;
    if (json["prompt"].get(prompt) != simdjson::SUCCESS) return "missing 'prompt', a text";
    row.prompt = prompt;
    row.target.fill(none);
    bool bench = !text(json, "bench").empty();
    row.source = text(json, bench ? "bench" : "source");
    if (bench)
        read_bench_labels(json, row);
    else
        read_labels(json, row);
    row.paired = !std::isnan(row.weak) && !std::isnan(row.strong);
    bool contaminated = false;
    if (json["contaminated"].get(contaminated) == simdjson::SUCCESS && contaminated)
        row.paired = false;

    std::string_view cluster = text(json, "cluster");
    std::string name(cluster.empty() ? prompt : cluster);
    row.cluster = std::stoull(sha256_hex(name).substr(0, 15), nullptr, 16);
    TextFeatures features;
    FeatureReader reader(features);
    TextWindow window(reader, prompt.size(), last_head_bytes, last_tail_bytes);
    window.feed(prompt);
    reader.finish();
    row.features.structural = features.structural;
    row.log_bytes = static_cast<double>(features.structural[log_bytes_at]);
    auto hashed = features.hashed();
    row.features.buckets.assign(hashed.begin(), hashed.end());
    row.options = features.options;
    row.words.assign(features.sample.begin(), features.sample.begin() + features.sampled);
    label_by_kind(text(json, "domain"), text(json, "subset"), row);
    return {};
}

Result<std::string> read_whole(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) return Error(Errc::not_found, path + ": cannot be opened");
    auto size = static_cast<std::size_t>(in.tellg());
    if (size > file_bytes_max)
        return Error(Errc::bad_file, path + ": has more than 256 MiB, give a sample of it");
    std::string bytes(size, '\0');
    in.seekg(0);
    if (!in.read(bytes.data(), static_cast<std::streamsize>(size)))
        return Error(Errc::bad_file, path + ": cannot be read");
    return bytes;
}

// Itself, or of a folder the files NAME.jsonl by name.
Result<std::vector<std::string>> files_of(const std::string& path) {
    std::error_code failed;
    if (!std::filesystem::is_directory(path, failed)) return std::vector<std::string>{path};
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(path, failed))
        if (entry.path().extension() == ".jsonl") files.push_back(entry.path().string());
    if (failed || files.empty())
        return Error(Errc::bad_file, path + ": a folder without files NAME.jsonl");
    std::sort(files.begin(), files.end());
    return files;
}

Status read_lines(const std::string& path, std::string_view bytes, RouterData& data) {
    TrainingFile file;
    file.name = path.substr(path.find_last_of('/') + 1);
    file.sha256 = sha256_hex(bytes);
    simdjson::dom::parser parser;
    std::string_view rest = bytes;
    for (std::uint64_t line = 1; !rest.empty(); ++line) {
        std::size_t end = std::min(rest.find('\n'), rest.size());
        std::string_view one = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        std::string where = path + ":" + std::to_string(line) + ": ";
        simdjson::dom::element element;
        auto failed = parser.parse(one.data(), one.size()).get(element);
        if (failed) return Error(Errc::bad_file, where + "not JSON: " + error_message(failed));
        RouterRow row;
        if (auto wrong = read_row(element, row)) return Error(Errc::bad_file, where + *wrong);
        data.rows.push_back(std::move(row));
        ++file.rows;
        if (data.rows.size() > rows_max)
            return Error(Errc::bad_file, where + "more than 2,000,000 rows, give a sample");
    }
    data.files.push_back(std::move(file));
    return Done{};
}

}  // namespace

Result<RouterData> read_router_data(const std::vector<std::string>& paths) {
    RouterData data;
    for (const std::string& path : paths) {
        auto files = files_of(path);
        if (!files) return files.error();
        for (const std::string& file : *files) {
            auto bytes = read_whole(file);
            if (!bytes) return bytes.error();
            Status read = read_lines(file, *bytes, data);
            if (!read) return read.error();
        }
    }
    if (data.rows.empty())
        return Error(Errc::bad_file, paths.front() + ": has no labelled prompts");
    return data;
}

RouterData ordinary_prompts() {
    RouterData data;
    [[maybe_unused]] Status read =
        read_lines("ordinary.jsonl",
                   {reinterpret_cast<const char*>(ordinary_bytes), sizeof ordinary_bytes}, data);
    assert(read && "what is built in was read before");
    return data;
}

std::vector<RouterRow> take_mt_bench(RouterData& data) {
    auto of_it = [](const RouterRow& row) { return row.source == mt_bench; };
    std::size_t at = 0;
    std::erase_if(data.files, [&](TrainingFile& file) {
        auto from = data.rows.begin() + static_cast<std::ptrdiff_t>(at);
        auto to = from + static_cast<std::ptrdiff_t>(file.rows);
        at += file.rows;
        std::ptrdiff_t taken = std::count_if(from, to, of_it);
        file.rows -= static_cast<std::size_t>(taken);
        return taken > 0 && file.rows == 0;
    });
    std::vector<RouterRow> out;
    auto begin = std::stable_partition(data.rows.begin(), data.rows.end(), std::not_fn(of_it));
    std::move(begin, data.rows.end(), std::back_inserter(out));
    data.rows.erase(begin, data.rows.end());
    return out;
}

}  // namespace sluice
