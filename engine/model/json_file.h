// A JSON file of a model folder, read whole, and its fields by name. Only .cc files of model/ and
// text/ that read such files include this: simdjson stays out of every other header.
// One thread. Errors: bad_file, naming the file and the field, what it holds and what was expected.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

using JsonElement = simdjson::dom::element;

std::vector<JsonElement> elements_of(JsonElement array);  // of what is no array: none

// Fields of one object. One that is absent or null is nothing; of one of another type the fault is
// kept, the first one for all objects of the file, and it is nothing too.
class JsonFields {
public:
    JsonFields() = default;
    JsonFields(JsonElement object, std::string where, std::shared_ptr<std::string> fault)
        : object_(object), where_(std::move(where)), fault_(std::move(fault)) {}

    std::optional<std::int64_t> integer(std::string_view key);
    std::optional<double> number(std::string_view key);
    std::optional<bool> boolean(std::string_view key);
    std::optional<std::string_view> text(std::string_view key);
    std::optional<JsonFields> object(std::string_view key);
    std::optional<std::vector<JsonElement>> array(std::string_view key);
    // One integer or an array of them.
    std::optional<std::vector<std::int64_t>> integers(std::string_view key);

    // As above with what holds where the field is absent, and the range that it must lie in.
    int integer_within(std::string_view key, std::int64_t low, std::int64_t high,
                       std::optional<std::int64_t> otherwise = std::nullopt);
    float positive(std::string_view key, std::optional<double> otherwise = std::nullopt);

    // An object found by walking all().
    JsonFields within(std::string_view key, JsonElement found) const {
        return JsonFields(found, name_of(key) + ".", fault_);
    }
    simdjson::dom::object all() const { return object_.get_object().value_unsafe(); }
    std::string name_of(std::string_view key) const;           // "config.json: rope_scaling.factor"
    void keep(std::string_view key, const std::string& what);  // a fault: "KEY WHAT"
    bool ok() const { return fault_->empty(); }

private:
    std::optional<JsonElement> find(std::string_view key);
    template <class Value>
    std::optional<Value> as(std::string_view key, const char* kind);

    JsonElement object_;
    std::string where_;  // before a key
    std::shared_ptr<std::string> fault_;
};

class JsonFile {
public:
    // `bytes` are copied. `place` is put before "not JSON".
    static Result<JsonFile> parse(std::span<const std::uint8_t> bytes, const std::string& path,
                                  const std::string& place = "");
    static Result<JsonFile> read(const std::string& path, std::size_t bytes_max);

    JsonFields& fields() { return fields_; }
    // The first fault of any of its fields.
    Status status() const;

private:
    std::unique_ptr<simdjson::dom::parser> parser_;  // owns what the elements point into
    std::shared_ptr<std::string> fault_;
    JsonFields fields_;
};

}  // namespace sluice
