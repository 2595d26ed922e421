#include "engine/model/json_file.h"

#include <cmath>
#include <utility>

#include "engine/model/mapped_file.h"

namespace sluice {
namespace {

const char* kind_of(JsonElement element) {
    switch (element.type()) {
        case simdjson::dom::element_type::ARRAY:
            return "an array";
        case simdjson::dom::element_type::OBJECT:
            return "an object";
        case simdjson::dom::element_type::INT64:
        case simdjson::dom::element_type::UINT64:
            return "an integer";
        case simdjson::dom::element_type::DOUBLE:
            return "a number";
        case simdjson::dom::element_type::STRING:
            return "a string";
        case simdjson::dom::element_type::BOOL:
            return "a boolean";
        case simdjson::dom::element_type::NULL_VALUE:
            return "null";
    }
    return "unknown";
}

bool is_digit(std::uint8_t byte) { return byte >= '0' && byte <= '9'; }

// Integers too long for 64 bits, as Python writes them, become real numbers: the parser takes no
// others of that length.
std::string with_long_integers_real(std::span<const std::uint8_t> bytes) {
    constexpr std::size_t digits_max = 18;
    std::string out;
    bool in_string = false;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::uint8_t byte = bytes[at];
        const std::size_t begin = at++;
        if (in_string && byte == '\\' && at < bytes.size()) ++at;
        if (byte == '"') in_string = !in_string;
        const bool number = !in_string && is_digit(byte);
        while (number && at < bytes.size() && is_digit(bytes[at])) ++at;
        out.append(reinterpret_cast<const char*>(bytes.data() + begin), at - begin);
        const std::uint8_t next = at < bytes.size() ? bytes[at] : std::uint8_t{' '};
        const bool real = next == '.' || next == 'e' || next == 'E';
        if (number && at - begin > digits_max && !real) out += ".0";
        // What follows the point is part of the same number.
        if (number && next == '.') out += static_cast<char>(bytes[at++]);
        while (number && next == '.' && at < bytes.size() && is_digit(bytes[at]))
            out += static_cast<char>(bytes[at++]);
    }
    return out;
}

}  // namespace

std::vector<JsonElement> elements_of(JsonElement array) {
    simdjson::dom::array elements;
    if (array.get(elements) != simdjson::SUCCESS) return {};
    return {elements.begin(), elements.end()};
}

std::string JsonFields::name_of(std::string_view key) const { return where_ + std::string(key); }

void JsonFields::keep(std::string_view key, const std::string& what) {
    if (fault_->empty()) *fault_ = name_of(key) + " " + what;
}

std::optional<JsonElement> JsonFields::find(std::string_view key) {
    JsonElement found;
    if (object_.at_key(key).get(found) != simdjson::SUCCESS || found.is_null()) return std::nullopt;
    return found;
}

template <class Value>
std::optional<Value> JsonFields::as(std::string_view key, const char* kind) {
    auto found = find(key);
    if (!found) return std::nullopt;
    Value value;
    if (found->get(value) == simdjson::SUCCESS) return value;
    keep(key, std::string("is ") + kind_of(*found) + ", expected " + kind);
    return std::nullopt;
}

std::optional<std::int64_t> JsonFields::integer(std::string_view key) {
    return as<std::int64_t>(key, "an integer");
}
std::optional<double> JsonFields::number(std::string_view key) {
    return as<double>(key, "a number");
}
std::optional<bool> JsonFields::boolean(std::string_view key) { return as<bool>(key, "a boolean"); }
std::optional<std::string_view> JsonFields::text(std::string_view key) {
    return as<std::string_view>(key, "a string");
}

std::optional<JsonFields> JsonFields::object(std::string_view key) {
    auto found = as<simdjson::dom::object>(key, "an object");
    if (!found) return std::nullopt;
    return within(key, *find(key));
}

std::optional<std::vector<JsonElement>> JsonFields::array(std::string_view key) {
    if (!as<simdjson::dom::array>(key, "an array")) return std::nullopt;
    return elements_of(*find(key));
}

std::optional<std::vector<std::int64_t>> JsonFields::integers(std::string_view key) {
    auto found = find(key);
    if (!found) return std::nullopt;
    if (!found->is_array()) {
        auto one = integer(key);
        if (!one) return std::nullopt;
        return std::vector<std::int64_t>{*one};
    }
    std::vector<std::int64_t> out;
    for (JsonElement element : elements_of(*found)) {
        std::int64_t value = 0;
        if (element.get(value) != simdjson::SUCCESS) {
            keep(key, std::string("holds ") + kind_of(element) + ", expected integers");
            return std::nullopt;
        }
        out.push_back(value);
    }
    return out;
}

int JsonFields::integer_within(std::string_view key, std::int64_t low, std::int64_t high,
                               std::optional<std::int64_t> otherwise) {
    auto value = integer(key);
    if (!value) value = otherwise;
    if (!value) {
        keep(key, "is missing, expected an integer");
        return 0;
    }
    if (*value < low || *value > high) {
        keep(key, "is " + std::to_string(*value) + ", expected " + std::to_string(low) + ".." +
                      std::to_string(high));
        return 0;
    }
    return static_cast<int>(*value);
}

float JsonFields::positive(std::string_view key, std::optional<double> otherwise) {
    auto value = number(key);
    if (!value) value = otherwise;
    if (!value) {
        keep(key, "is missing, expected a number");
        return 0.0F;
    }
    if (!(*value > 0.0) || !std::isfinite(static_cast<float>(*value))) {
        keep(key, "is " + std::to_string(*value) + ", expected a number above 0");
        return 0.0F;
    }
    return static_cast<float>(*value);
}

Result<JsonFile> JsonFile::parse(std::span<const std::uint8_t> bytes, const std::string& path,
                                 const std::string& place) {
    JsonFile file;
    file.parser_ = std::make_unique<simdjson::dom::parser>();
    file.fault_ = std::make_shared<std::string>();
    JsonElement root;
    auto failed = file.parser_->parse(bytes.data(), bytes.size(), true).get(root);
    if (failed == simdjson::NUMBER_ERROR)
        failed = file.parser_->parse(with_long_integers_real(bytes)).get(root);
    if (failed != simdjson::SUCCESS)
        return Error(Errc::bad_file,
                     path + ": " + place + "not JSON: " + simdjson::error_message(failed));
    if (!root.is_object())
        return Error(Errc::bad_file,
                     path + ": " + place + "expected a JSON object, found " + kind_of(root));
    file.fields_ = JsonFields(root, path + ": ", file.fault_);
    return file;
}

Result<JsonFile> JsonFile::read(const std::string& path, std::size_t bytes_max) {
    MappedFile mapping;
    Status opened = mapping.open(path, bytes_max);
    if (!opened) return opened.error();
    return parse(mapping.bytes(), path);
}

Status JsonFile::status() const {
    if (fault_->empty()) return Done{};
    return Error(Errc::bad_file, *fault_);
}

}  // namespace sluice
