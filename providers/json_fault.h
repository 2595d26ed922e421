// Where a text stops being JSON, in words for the person who sent it. The fast parser only says
// that something is wrong; this runs after it, and over values that are passed on unread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct JsonFault {
    std::size_t offset = 0;  // bytes from the start
    std::string message;     // "expected ',' or '}' after a value, got 'x'"
};

// The first fault of `text` as RFC 8259 JSON in UTF-8, or nothing. Also faults: half a surrogate
// pair, nesting deeper than `json_depth_max`, anything but white space behind the value.
// Linear, takes no memory for a good text.
std::optional<JsonFault> find_json_fault(std::string_view text);

constexpr int json_depth_max = 256;

// "line 2, column 7 (byte 31)" of an offset into `text`; lines and columns from 1, in bytes.
std::string json_place(std::string_view text, std::size_t offset);

}  // namespace sluice
