#include "providers/json_read.h"

#include <cassert>
#include <cstring>
#include <memory>

#include "providers/json_fault.h"

namespace sluice {
namespace {

using simdjson::ondemand::json_type;

// What a thread keeps between documents. Grown in powers of two; given back when a document was
// over `kept_bytes_max`, so that one huge body does not hold memory for ever.
struct Workplace {
    std::unique_ptr<simdjson::ondemand::parser> parser;
    std::unique_ptr<char[]> bytes;
    std::size_t capacity = 0;  // of `bytes`, without padding
    bool busy = false;
};

constexpr std::size_t kept_bytes_max = 4U << 20;

Workplace& workplace() {
    thread_local Workplace place;
    return place;
}

std::string_view copy_padded(Workplace& place, std::string_view text) {
    if (!place.bytes || place.capacity < text.size()) {
        std::size_t capacity = 4096;
        while (capacity < text.size()) capacity *= 2;
        place.bytes.reset(new char[capacity + simdjson::SIMDJSON_PADDING]);
        place.capacity = capacity;
    }
    if (!text.empty()) std::memcpy(place.bytes.get(), text.data(), text.size());
    std::memset(place.bytes.get() + text.size(), ' ', simdjson::SIMDJSON_PADDING);
    return std::string_view(place.bytes.get(), text.size());
}

const char* type_name(json_type type) {
    switch (type) {
        case json_type::array:
            return "a list";
        case json_type::object:
            return "an object";
        case json_type::number:
            return "a number";
        case json_type::string:
            return "a string";
        case json_type::boolean:
            return "a boolean";
        case json_type::null:
            return "null";
    }
    return "something else";
}

}  // namespace

std::string JsonPath::text() const {
    std::string out = up ? up->text() : "";
    if (index >= 0) return out + "[" + std::to_string(index) + "]";
    if (out.empty()) return std::string(key);
    if (!key.empty()) out.append(".").append(key);
    return out;
}

JsonReader::JsonReader(std::string_view text, Errc code) : code_(code) {
    Workplace& place = workplace();
    assert(!place.busy);
    place.busy = true;
    if (!place.parser) place.parser = std::make_unique<simdjson::ondemand::parser>();
    text_ = copy_padded(place, text);
    opened_ =
        place.parser->iterate(text_.data(), text_.size(), text_.size() + simdjson::SIMDJSON_PADDING)
            .get(document_);
}

JsonReader::~JsonReader() {
    Workplace& place = workplace();
    place.busy = false;
    if (place.capacity > kept_bytes_max) place = Workplace();
}

Status JsonReader::text(JsonValue value, const JsonPath& path, std::string& out) {
    std::string_view text;
    if (value.get_string().get(text)) return wrong_type(value, path, "a string");
    out.assign(text);
    return Done{};
}

Status JsonReader::number(JsonValue value, const JsonPath& path, double low, double high,
                          double& out) {
    auto range = [&] {
        char text[96];
        std::snprintf(text, sizeof text, "a number from %g to %g", low, high);
        return std::string(text);
    };
    if (value.get_double().get(out)) return wrong_type(value, path, range());
    if (out >= low && out <= high) return Done{};
    char got[32];
    std::snprintf(got, sizeof got, "%g", out);
    return wrong(path, "expected " + range() + ", got " + got);
}

Status JsonReader::integer(JsonValue value, const JsonPath& path, std::int64_t low,
                           std::int64_t high, std::int64_t& out) {
    auto range = [&] {
        return "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    };
    if (value.get_int64().get(out)) return wrong_type(value, path, range());
    if (out >= low && out <= high) return Done{};
    return wrong(path, "expected " + range() + ", got " + std::to_string(out));
}

Status JsonReader::boolean(JsonValue value, const JsonPath& path, bool& out) {
    if (value.get_bool().get(out)) return wrong_type(value, path, "true or false");
    return Done{};
}

Status JsonReader::raw(JsonValue value, std::string& out) {
    std::string_view view;
    if (is(value, json_type::object)) {
        JsonObject object;
        if (value.get_object().get(object) || object.raw_json().get(view)) return not_json();
    } else if (is(value, json_type::array)) {
        JsonArray array;
        if (value.get_array().get(array) || array.raw_json().get(view)) return not_json();
    } else {
        view = value.raw_json_token();
    }
    std::size_t end = view.find_last_not_of(" \t\r\n");
    view = view.substr(0, end + 1);  // npos + 1 is 0
    // Skipped over by counting brackets: nothing inside was looked at yet.
    if (auto fault = find_json_fault(view)) return not_json();
    out.reserve(out.size() + view.size() + 64);  // for what the caller puts behind it
    out += view;
    return Done{};
}

bool JsonReader::null(JsonValue& value) {
    bool null = false;
    return value.is_null().get(null) == simdjson::SUCCESS && null;
}

bool JsonReader::is(JsonValue& value, json_type type) {
    json_type actual;
    return value.type().get(actual) == simdjson::SUCCESS && actual == type;
}

Error JsonReader::wrong_type(JsonValue& value, const JsonPath& path, const std::string& expected) {
    json_type type;
    // A fault anywhere in the text comes first: the type may only look wrong because of it.
    if (value.type().get(type) || find_json_fault(text_)) return not_json();
    return wrong(path, "expected " + expected + ", got " + type_name(type));
}

Error JsonReader::wrong(const JsonPath& path, const std::string& message) {
    std::string where = path.text();
    return Error(code_, where.empty() ? message : where + ": " + message, where);
}

Error JsonReader::not_json() {
    if (auto fault = find_json_fault(text_)) {
        return Error(code_,
                     "not JSON at " + json_place(text_, fault->offset) + ": " + fault->message);
    }
    // The two parsers disagree; say what is known.
    return Error(code_, "not JSON: " + std::string(opened_ ? simdjson::error_message(opened_)
                                                           : "the text cannot be read"));
}

}  // namespace sluice
