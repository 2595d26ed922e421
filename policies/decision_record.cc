#include "policies/decision_record.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "policies/language.h"

namespace sluice {
namespace {

constexpr std::uint8_t record_version = 2, version_with_features = 3;
constexpr std::size_t plain_bytes_max = record_bytes_max - features_bytes_max;
constexpr std::size_t text_bytes_max = 127;
constexpr unsigned word_bits = 12;
static_assert(1U << word_bits == learned_words && words_kept_max < 256);

constexpr unsigned flag_tools = 1, flag_images = 2, flag_other_parts = 4, flag_json_schema = 8,
                   flag_labels_cut = 16, flag_audio = 32, flag_files = 64;

std::uint64_t unsigned_of(std::int64_t value) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
}

// Reads on; `good` is false from the first thing that does not fit.
class Bytes {
public:
    explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
    bool good = true;
    bool done() const { return bytes_.empty(); }

    std::uint8_t byte() {
        std::string_view one = take(1);
        return good ? static_cast<std::uint8_t>(one[0]) : 0;
    }
    std::uint64_t number() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && good; shift += 7) {
            std::uint8_t next = byte();
            value |= std::uint64_t{next & 127U} << shift;
            if (next < 128) return value;
        }
        good = false;
        return 0;
    }
    float real(float otherwise) {
        std::string_view four = take(sizeof(float));
        float value = otherwise;
        if (good) std::memcpy(&value, four.data(), sizeof value);
        return std::isfinite(value) ? value : otherwise;
    }
    std::int64_t count() { return static_cast<std::int64_t>(number() & INT64_MAX); }
    std::string_view text() { return take(byte()); }
    std::string_view take(std::size_t size) {
        good = good && size <= bytes_.size();
        std::string_view taken = good ? bytes_.substr(0, size) : std::string_view();
        if (good) bytes_.remove_prefix(size);
        return taken;
    }

private:
    std::string_view bytes_;
};

// What comes before the labels always fits: 100 bytes at most.
class Writer {
public:
    explicit Writer(RecordBytes& out) : out_(out) {}
    void byte(unsigned value) { out_.bytes[out_.size++] = static_cast<char>(value); }
    void number(std::uint64_t value) {
        for (; value >= 128; value >>= 7) byte(static_cast<unsigned>(value & 127) | 128);
        byte(static_cast<unsigned>(value));
    }
    void take(std::string_view text) {
        std::copy(text.begin(), text.end(), out_.bytes.begin() + out_.size);
        out_.size = static_cast<std::uint16_t>(out_.size + text.size());
    }
    void real(float value) {
        char bytes[sizeof value];
        std::memcpy(bytes, &value, sizeof bytes);
        take({bytes, sizeof bytes});
    }
    // Takes none of the labels' room.
    void features(const OnlineFeatures& features, std::uint32_t classifier) {
        std::size_t before = out_.size;
        for (int shift = 0; shift < 32; shift += 8) byte(classifier >> shift & 255);
        for (float odds : features.prior) real(odds);
        byte(features.app & 255);
        byte(features.app >> 8);
        for (std::int8_t one : features.structural) byte(static_cast<std::uint8_t>(one));
        std::size_t count = std::min<std::size_t>(features.word_count, words_kept_max);
        std::array<std::uint16_t, words_kept_max> words;
        std::transform(
            features.words.begin(), features.words.begin() + count, words.begin(),
            [](std::uint16_t word) { return static_cast<std::uint16_t>(word % learned_words); });
        std::sort(words.begin(), words.begin() + count);
        byte(static_cast<unsigned>(count));
        unsigned bits = 0, held = 0;
        for (std::size_t i = 0; i < count; ++i) {
            held |= unsigned{words[i]} << bits;
            for (bits += word_bits; bits >= 8; bits -= 8, held >>= 8) byte(held & 255);
        }
        if (bits > 0) byte(held);
        room_ += out_.size - before;
    }
    // False where it does not fit.
    bool label(std::string_view kind, std::string_view name, std::string_view value) {
        std::size_t named = kind.size() + name.size();
        bool fits = named <= text_bytes_max && value.size() <= text_bytes_max &&
                    out_.size + named + value.size() + 2 <= room_;
        if (!fits) return false;
        byte(static_cast<unsigned>(named));
        take(kind);
        take(name);
        byte(static_cast<unsigned>(value.size()));
        take(value);
        return true;
    }

private:
    RecordBytes& out_;
    std::size_t room_ = plain_bytes_max;
};

void read_features(Bytes& bytes, RecordedFeatures& out) {
    out.classifier = 0;
    for (int shift = 0; shift < 32; shift += 8)
        out.classifier |= std::uint32_t{bytes.byte()} << shift;
    for (float& odds : out.of.prior) odds = bytes.real(0);
    unsigned low = bytes.byte();
    out.of.app = static_cast<std::uint16_t>(low | static_cast<unsigned>(bytes.byte()) << 8);
    for (std::int8_t& one : out.of.structural) one = static_cast<std::int8_t>(bytes.byte());
    out.of.word_count = bytes.byte();
    bytes.good = bytes.good && out.of.word_count <= words_kept_max;
    if (!bytes.good) out.of.word_count = 0;
    unsigned bits = 0, held = 0;
    for (std::size_t i = 0; i < out.of.word_count; ++i) {
        for (; bits < word_bits; bits += 8) held |= unsigned{bytes.byte()} << bits;
        out.of.words[i] = static_cast<std::uint16_t>(held % learned_words);
        held >>= word_bits;
        bits -= word_bits;
    }
}

std::optional<std::int64_t> integer_in(std::string_view text) {
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    bool whole = std::from_chars(text.data(), end, number).ptr == end && !text.empty();
    return whole ? std::optional(number) : std::nullopt;
}

void read_beside(std::string_view version, std::string_view value, DecisionRecord& record) {
    std::size_t end = std::min(value.find('\n'), value.size());
    record.beside_version = version;
    record.beside_tier = value.substr(0, end);
    record.beside_upstream = value.substr(std::min(end + 1, value.size()));
}

}  // namespace

std::uint32_t classifier_mark(std::string_view version) {
    std::uint32_t hash = 0x811C9DC5;  // FNV-1a
    for (char c : version) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
    return std::max(hash, 1U);
}

RecordBytes write_record(const DecisionRecord& record, const Labels& labels,
                         const OnlineFeatures* features, std::uint32_t classifier) {
    RecordBytes out;
    Writer to(out);
    to.byte(features == nullptr ? record_version : version_with_features);
    std::size_t flags_at = out.size;
    unsigned flags = (record.tools ? flag_tools : 0U) | (record.images ? flag_images : 0U) |
                     (record.audio ? flag_audio : 0U) | (record.files ? flag_files : 0U) |
                     (record.json_schema ? flag_json_schema : 0U);
    to.byte(flags);
    auto chance = static_cast<unsigned>(std::clamp(record.chance, 0.0, 1.0) * 65'535);
    to.byte(chance & 255);
    to.byte(chance >> 8);
    to.real(record.gain);
    to.real(record.ok_frontier);
    to.real(record.needs_reasoning);
    to.byte(static_cast<unsigned>(record.domain));
    to.byte(record.seen.pii_asked);
    to.byte(record.seen.pii_found);
    to.number(unsigned_of(record.expected_output_tokens_frontier));
    to.number(unsigned_of(record.input_tokens));
    to.number(unsigned_of(record.expected_output_tokens));
    to.number(record.max_tokens ? unsigned_of(*record.max_tokens) + 1 : 0);
    to.number(unsigned_of(record.turns));
    to.number(unsigned_of(std::llround(std::clamp(record.budget_pressure, 0.0, 1e6) * 1'000)));
    to.number(record.session_upstream);
    to.number(unsigned_of(record.session_prefix_tokens));
    std::string_view language = record.seen.language.value_or("-");  // "-": not asked for
    to.byte(static_cast<unsigned>(language.size()));
    to.take(language);
    if (features != nullptr) to.features(*features, classifier);
    bool all = true;
    if (auto shift = std::lround(record.shift * 10'000); shift != 0)
        all = to.label("s", "", std::to_string(shift));
    if (record.budget_left)
        all = to.label("b", "", std::to_string(record.budget_left->pico_usd)) && all;
    if (record.propensity < 1)
        all = to.label("p", "", std::to_string(std::llround(record.propensity * 1e6))) && all;
    if (!record.beside_version.empty())
        all = to.label("c:", record.beside_version,
                       record.beside_tier + "\n" + record.beside_upstream) &&
              all;
    all = (labels.data_class.empty() || to.label("", "", labels.data_class)) && all;
    for (const auto& [name, value] : labels.tags) all = to.label("t:", name, value) && all;
    for (const auto& [name, value] : labels.headers) all = to.label("h:", name, value) && all;
    if (!all) out.bytes[flags_at] = static_cast<char>(flags | flag_labels_cut);
    return out;
}

bool read_record(std::string_view text, DecisionRecord& record, Labels& labels,
                 RecordedFeatures* features) {
    Bytes bytes(text);
    std::uint8_t version = bytes.byte();
    if (version < 1 || version > version_with_features) return false;
    std::uint8_t flags = bytes.byte();
    record.tools = (flags & flag_tools) != 0;
    record.images = (flags & flag_images) != 0;
    record.audio = (flags & flag_audio) != 0;
    // Older rows say only that there was something else than text, images among it.
    record.files = (flags & flag_files) != 0 ||
                   ((flags & flag_other_parts) != 0 && (flags & flag_images) == 0);
    record.json_schema = (flags & flag_json_schema) != 0;
    record.labels_cut = (flags & flag_labels_cut) != 0;
    unsigned low = bytes.byte();
    record.chance = static_cast<double>(low | static_cast<unsigned>(bytes.byte()) << 8) / 65'535;
    record.gain = bytes.real(0);
    record.ok_frontier = version < 2 ? -1 : bytes.real(-1);
    record.needs_reasoning = version < 2 ? 0.5F : bytes.real(0.5F);
    std::size_t domain = version < 2 ? domain_count : bytes.byte();
    record.domain = domain < domain_count ? static_cast<Domain>(domain) : Domain::other;
    record.seen.pii_asked = bytes.byte();
    record.seen.pii_found = bytes.byte();
    record.expected_output_tokens_frontier = version < 2 ? 0 : bytes.count();
    record.input_tokens = bytes.count();
    record.expected_output_tokens = bytes.count();
    std::int64_t most = bytes.count();
    record.max_tokens = most == 0 ? std::nullopt : std::optional(most - 1);
    record.turns = bytes.count();
    record.budget_pressure = static_cast<double>(bytes.count()) / 1'000;
    record.session_upstream = static_cast<std::uint32_t>(bytes.number());
    record.session_prefix_tokens = bytes.count();
    std::string_view language = bytes.text();
    RecordedFeatures passed_over;
    if (features == nullptr) features = &passed_over;
    features->classifier = 0;
    if (version >= version_with_features) read_features(bytes, *features);
    record.seen.language.reset();
    record.budget_left.reset();
    record.shift = 0;
    record.propensity = 1;
    for (std::string* one : {&record.beside_version, &record.beside_tier, &record.beside_upstream})
        one->clear();
    for (std::string_view code : language_codes())
        if (code == language) record.seen.language = code;
    if (language.empty()) record.seen.language = "";
    labels.data_class.clear();
    labels.tags.clear();
    labels.headers.clear();
    while (bytes.good && !bytes.done()) {
        std::string_view name = bytes.text();
        std::string_view value = bytes.text();
        if (name.empty())
            labels.data_class = value;
        else if (name.starts_with("t:"))
            labels.tags[std::string(name.substr(2))] = value;
        else if (name == "s")
            record.shift = static_cast<double>(integer_in(value).value_or(0)) / 10'000;
        else if (name == "b")
            record.budget_left = Money{integer_in(value).value_or(0)};
        else if (name == "p")
            record.propensity = std::clamp(
                static_cast<double>(integer_in(value).value_or(1'000'000)) * 1e-6, 1e-6, 1.0);
        else if (name.starts_with("c:"))
            read_beside(name.substr(2), value, record);
        else if (name.starts_with("h:"))
            labels.headers[std::string(name.substr(2))] = value;
    }
    return bytes.good;
}

}  // namespace sluice
