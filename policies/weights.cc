#include "policies/weights.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "policies/calibrate.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "the payload is copied as it lies");

constexpr std::string_view magic = "sluice-router-weights ";
constexpr std::size_t file_bytes_max = 1 << 20;
constexpr std::size_t header_lines_max = 200;
static_assert(sizeof(Tree) == 8 + 2 * 8 * sizeof(float));
constexpr std::size_t forest_bytes =
    sizeof(float) + sizeof(TreeInputs) + sizeof(std::uint32_t) + trees_max * sizeof(Tree);
constexpr std::size_t payload_bytes =
    sizeof(float) *
        (2 * structural_count + head_lanes + lane_count + structural_count * head_lanes) +
    sizeof(Calibration) * domain_count + known_bytes + std::size_t{bucket_count} * lane_count +
    kind_count * (2 * forest_bytes + sizeof(float));

std::string heads_line() {
    std::string out;
    for (std::string_view name : head_names) {
        if (!out.empty()) out += ' ';
        out += name;
    }
    return out;
}

// Weights only mean something with the very features that they were trained on.
std::string features_line() {
    std::string listed;
    for (std::string_view name : structural_names()) {
        listed += name;
        listed += '\n';
    }
    return std::to_string(structural_count) + " structural, " + std::to_string(bucket_count) +
           " buckets, " + std::to_string(topic_count) + " topics, list sha256 " +
           sha256_hex(listed).substr(0, 12);
}

std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
    return text;
}

template <class Floats>
void put(std::string& out, const Floats& values) {
    out.append(reinterpret_cast<const char*>(values.data()), sizeof(values[0]) * values.size());
}

template <class Floats>
void take(std::string_view& in, Floats& values) {
    std::size_t bytes = sizeof(values[0]) * values.size();
    std::memcpy(values.data(), in.data(), bytes);
    in.remove_prefix(bytes);
}

void put_forest(std::string& out, const Forest& forest) {
    put(out, std::array{forest.base});
    put(out, forest.line);
    put(out, std::array{static_cast<std::uint32_t>(forest.trees.size())});
    std::array<Tree, trees_max> trees{};
    std::copy(forest.trees.begin(), forest.trees.end(), trees.begin());
    put(out, trees);
}

// False where it asks for inputs or trees that are not there.
bool all_finite(const auto& numbers) {
    return std::all_of(numbers.begin(), numbers.end(),
                       [](auto one) { return std::isfinite(static_cast<double>(one)); });
}

// A threshold may be infinite: then all go one way.
bool any_nan(const std::array<float, 8>& numbers) {
    return std::any_of(numbers.begin(), numbers.end(), [](float one) { return std::isnan(one); });
}

bool take_forest(std::string_view& in, Forest& forest) {
    std::array<float, 1> base{};
    std::array<std::uint32_t, 1> count{};
    take(in, base);
    take(in, forest.line);
    take(in, count);
    forest.base = base[0];
    forest.trees.resize(trees_max);
    take(in, forest.trees);
    if (count[0] > trees_max) return false;
    forest.trees.resize(count[0]);
    if (!all_finite(base) || !all_finite(forest.line)) return false;
    return std::all_of(forest.trees.begin(), forest.trees.end(), [](const Tree& tree) {
        return !any_nan(tree.threshold) && all_finite(tree.leaf) &&
               std::all_of(tree.input.begin(), tree.input.end(),
                           [](std::uint8_t input) { return input < tree_inputs; });
    });
}

// "66123 bytes, sha256 HEX" or "difficulty.jsonl, 23080 rows, sha256 HEX": number and digest.
struct Digest {
    std::uint64_t number = 0;
    std::string sha256;
};

std::optional<Digest> read_digest(std::string_view text, std::string_view unit) {
    Digest digest;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), digest.number);
    if (failed != std::errc()) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::string between = " " + std::string(unit) + ", sha256 ";
    if (!text.starts_with(between)) return {};
    digest.sha256 = text.substr(between.size());
    bool hex = digest.sha256.size() == 64 &&
               digest.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!hex) return {};
    return digest;
}

class HeaderReader {
public:
    // `bytes`: the whole file.
    HeaderReader(std::string_view bytes, const std::string& file)
        : all_(bytes), rest_(bytes), file_(file) {}

    // Reads up to the empty line; `payload` is what the header promises.
    Status read(Weights& weights, Digest& payload) {
        rest_.remove_prefix(rest_.find('\n') + 1);  // magic and version
        bool has_heads = false, has_features = false, has_payload = false, is_whole = false;
        for (std::size_t lines = 0;; ++lines) {
            std::size_t end = rest_.find('\n');
            if (end == std::string_view::npos || lines > header_lines_max)
                return fault("its header has no end");
            std::string_view line = rest_.substr(0, end);
            std::string_view before = all_.substr(0, all_.size() - rest_.size());
            rest_.remove_prefix(end + 1);
            if (line.empty()) break;
            std::size_t colon = line.find(": ");
            if (colon == std::string_view::npos)
                return fault("its header has the line '" + std::string(line.substr(0, 80)) + "'");
            std::string_view key = line.substr(0, colon), value = line.substr(colon + 2);
            is_whole = key == "header";  // the last line
            if (is_whole && value != "sha256 " + sha256_hex(before))
                return fault("its header has SHA-256 " + sha256_hex(before) +
                             ", not the one that it says");
            if (key == "heads") has_heads = value == heads_line();
            if (key == "features") has_features = value == features_line();
            if (key == "command") weights.command = value;
            if (key == "figure") weights.figures.emplace_back(value);
            if (key == "seed")
                std::from_chars(value.data(), value.data() + value.size(), weights.seed);
            if (key == "data" && !read_data(value, weights)) return fault("a data line is damaged");
            if (key == "payload") {
                auto digest = read_digest(value, "bytes");
                if (!digest) return fault("its payload line is damaged");
                payload = *digest;
                has_payload = true;
            }
        }
        if (!is_whole) return fault("its header does not end in its own SHA-256");
        if (!has_heads) return fault("it has other heads than '" + heads_line() + "', train anew");
        if (!has_features) return fault("it was trained on other features, train anew");
        if (!has_payload) return fault("its header names no payload");
        if (weights.command.empty() || weights.data.empty() || weights.figures.empty())
            return fault(
                "its header does not say by what command, on what data and with what "
                "figures it was trained");
        return Done{};
    }

    std::string_view rest() const { return rest_; }
    Error fault(const std::string& what) const {
        return Error(Errc::bad_file, file_ + ": not usable as router weights: " + what);
    }

private:
    static bool read_data(std::string_view value, Weights& weights) {
        std::size_t comma = value.find(", ");
        if (comma == std::string_view::npos) return false;
        auto digest = read_digest(value.substr(comma + 2), "rows");
        if (!digest) return false;
        weights.data.push_back(
            {std::string(value.substr(0, comma)), digest->number, digest->sha256});
        return true;
    }

    std::string_view all_, rest_;
    const std::string& file_;
};

}  // namespace

double known_share(std::span<const std::uint32_t> words, std::span<const std::uint8_t> known) {
    constexpr std::size_t enough = 8;
    if (words.size() < enough) return 1;
    std::uint32_t met = 0;
    for (std::uint32_t word : words) met += known[word / 8 % known_bytes] >> word % 8 & 1U;
    return static_cast<double>(met) / static_cast<double>(words.size());
}

std::string write_weights(Weights& weights) {
    std::string payload;
    payload.reserve(payload_bytes);
    put(payload, weights.mean);
    put(payload, weights.scale);
    put(payload, weights.bias);
    put(payload, weights.step);
    for (const Weights::Lanes& lanes : weights.structural) put(payload, lanes);
    put(payload, weights.calibration);
    put(payload, weights.known);
    put(payload, weights.hashed);
    for (const KindForests& kind : weights.forests) {
        put_forest(payload, kind.local);
        put_forest(payload, kind.frontier);
        put(payload, std::array{kind.trust});
    }
    assert(payload.size() == payload_bytes);
    weights.payload_sha256 = sha256_hex(payload);

    std::string out = std::string(magic) + std::string(weights_version) + "\n";
    out += "command: " + one_line(weights.command) + "\n";
    for (const TrainingFile& file : weights.data)
        out += "data: " + one_line(file.name) + ", " + std::to_string(file.rows) +
               " rows, sha256 " + file.sha256 + "\n";
    out += "seed: " + std::to_string(weights.seed) + "\n";
    out += "heads: " + heads_line() + "\n";
    out += "features: " + features_line() + "\n";
    for (const std::string& figure : weights.figures) out += "figure: " + one_line(figure) + "\n";
    out += "payload: " + std::to_string(payload.size()) + " bytes, sha256 " +
           weights.payload_sha256 + "\n";
    out += "header: sha256 " + sha256_hex(out) + "\n\n";
    return out + payload;
}

Result<Weights> read_weights(std::string_view bytes, const std::string& file) {
    HeaderReader header(bytes, file);
    if (bytes.size() > file_bytes_max) return header.fault("it has more than 1 MiB");
    if (!bytes.starts_with(magic))
        return header.fault("it does not begin with 'sluice-router-weights'");
    std::size_t line_end = bytes.find('\n');
    std::string_view version = bytes.substr(magic.size(), line_end - magic.size());
    if (version != weights_version)
        return header.fault("it is of version '" + std::string(version.substr(0, 20)) +
                            "', this program reads version " + std::string(weights_version));
    HeaderReader body(bytes, file);
    Weights weights;
    Digest promised;
    Status read = body.read(weights, promised);
    if (!read) return read.error();
    std::string_view payload = body.rest();
    if (promised.number != payload_bytes || payload.size() != payload_bytes)
        return body.fault("its payload has " + std::to_string(payload.size()) +
                          " bytes, the header says " + std::to_string(promised.number) +
                          ", right are " + std::to_string(payload_bytes));
    weights.payload_sha256 = sha256_hex(payload);
    if (weights.payload_sha256 != promised.sha256)
        return body.fault("its payload has SHA-256 " + weights.payload_sha256 +
                          ", the header says " + promised.sha256);
    take(payload, weights.mean);
    take(payload, weights.scale);
    take(payload, weights.bias);
    take(payload, weights.step);
    bool finite = all_finite(weights.mean) && all_finite(weights.scale) &&
                  all_finite(weights.bias) && all_finite(weights.step);
    for (Weights::Lanes& lanes : weights.structural) {
        take(payload, lanes);
        finite = finite && all_finite(lanes);
    }
    if (!finite) return body.fault("a weight of it is no finite number");
    take(payload, weights.calibration);
    if (!std::all_of(weights.calibration.begin(), weights.calibration.end(), is_usable))
        return body.fault("a calibration of it does not rise from 0 to 1");
    weights.known.resize(known_bytes);
    take(payload, weights.known);
    weights.hashed.resize(std::size_t{bucket_count} * lane_count);
    take(payload, weights.hashed);
    for (KindForests& kind : weights.forests) {
        if (!take_forest(payload, kind.local) || !take_forest(payload, kind.frontier))
            return body.fault("a tree of it looks at what is not there, or is not finite");
        std::array<float, 1> trust{};
        take(payload, trust);
        kind.trust = trust[0];
        if (!(kind.trust >= 0 && kind.trust <= 1))
            return body.fault("a trust of it is not from 0 to 1");
    }
    return weights;
}

}  // namespace sluice
