// Reading JSON of others on demand (simdjson), with errors that name the field. Only .cc files
// include this. One document at a time a thread: its bytes are copied once into a padded
// buffer that the thread keeps, and what is read is copied out of there.
#pragma once

#include <simdjson.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

using JsonValue = simdjson::ondemand::value;
using JsonObject = simdjson::ondemand::object;
using JsonArray = simdjson::ondemand::array;

constexpr std::int64_t request_items_max = 10'000;  // of one list; read, an item takes up to 1 KiB

// messages[3].content: links on the stack, written out only when there is an error to tell.
struct JsonPath {
    const JsonPath* up = nullptr;
    std::string_view key;
    std::int64_t index = -1;
    std::string text() const;
};

// Notices a key that is there twice: of its two values each reader takes the one it likes. Looks at
// the first keys of an object only; those of ours have fewer.
class SeenKeys {
public:
    // False when it was there before.
    bool add(std::string_view key) {
        for (std::size_t i = 0; i < count_; ++i)
            if (keys_[i] == key) return false;
        if (count_ < keys_.size()) keys_[count_++] = key;
        return true;
    }

private:
    std::array<std::string_view, 16> keys_;
    std::size_t count_ = 0;
};

class JsonReader {
public:
    // `code` is that of every error: invalid_request for a client, upstream_failed for a vendor.
    JsonReader(std::string_view text, Errc code);
    ~JsonReader();
    JsonReader(const JsonReader&) = delete;
    JsonReader& operator=(const JsonReader&) = delete;

    // Calls each(key, value) -> Status for every member of the document, which must be an object
    // with nothing behind it.
    template <class Each>
    Status root(Each&& each);

    // A client's object may not have a key twice.
    template <class Each>
    Status members(JsonValue value, const JsonPath& path, Each&& each);
    template <class Each>  // each(index, value) -> Status
    Status items(JsonValue value, const JsonPath& path, Each&& each);

    Status text(JsonValue value, const JsonPath& path, std::string& out);
    Status number(JsonValue value, const JsonPath& path, double low, double high, double& out);
    Status integer(JsonValue value, const JsonPath& path, std::int64_t low, std::int64_t high,
                   std::int64_t& out);
    Status boolean(JsonValue value, const JsonPath& path, bool& out);
    // Appends the value as it stands, after checking that it is JSON all through.
    Status raw(JsonValue value, std::string& out);

    // True when the value is null; it is then read. False also when it is not JSON.
    static bool null(JsonValue& value);
    static bool is(JsonValue& value, simdjson::ondemand::json_type type);

    // What is wrong with a value that is not `expected`: its type, or the text itself.
    Error wrong_type(JsonValue& value, const JsonPath& path, const std::string& expected);
    Error wrong(const JsonPath& path, const std::string& message);

private:
    Error not_json();
    template <class Each>
    Status members_of(JsonObject& object, Each&& each);

    std::string_view text_;  // the padded copy
    Errc code_;
    simdjson::ondemand::document document_;
    simdjson::error_code opened_ = simdjson::SUCCESS;
};

template <class Each>
Status JsonReader::members_of(JsonObject& object, Each&& each) {
    for (auto member : object) {
        simdjson::ondemand::field field;
        std::string_view key;
        if (std::move(member).get(field) || field.unescaped_key().get(key)) return not_json();
        Status status = each(key, field.value());
        if (!status) return status;
    }
    return Done{};
}

template <class Each>
Status JsonReader::root(Each&& each) {
    if (opened_) return not_json();
    simdjson::ondemand::json_type type;
    if (document_.type().get(type)) return not_json();
    JsonObject object;
    auto failed = document_.get_object().get(object);
    if (failed == simdjson::INCORRECT_TYPE) return Error(code_, "expected a JSON object");
    if (failed) return not_json();
    Status status = members_of(object, each);
    if (!status) return status;
    const char* rest;  // there is none
    if (document_.current_location().get(rest) != simdjson::OUT_OF_BOUNDS) return not_json();
    return status;
}

template <class Each>
Status JsonReader::members(JsonValue value, const JsonPath& path, Each&& each) {
    JsonObject object;
    if (value.get_object().get(object)) return wrong_type(value, path, "an object");
    if (code_ != Errc::invalid_request) return members_of(object, each);
    SeenKeys seen;
    return members_of(object, [&](std::string_view key, JsonValue member) -> Status {
        if (!seen.add(key)) return wrong(JsonPath{&path, key, -1}, "is there twice");
        return each(key, member);
    });
}

template <class Each>
Status JsonReader::items(JsonValue value, const JsonPath& path, Each&& each) {
    JsonArray array;
    if (value.get_array().get(array)) return wrong_type(value, path, "a list");
    std::int64_t index = 0;
    for (auto item : array) {
        JsonValue element;
        if (std::move(item).get(element)) return not_json();
        // An upstream's lists grow with its answer, which has a limit of its own.
        if (index >= request_items_max && code_ == Errc::invalid_request)
            return wrong(path, "expected at most " + std::to_string(request_items_max) + " items");
        Status status = each(index++, element);
        if (!status) return status;
    }
    return Done{};
}

}  // namespace sluice
