// The head of every dialect's request reader: a table says which of the reader's functions takes
// which parameter. Refuses a parameter that is there twice and finds the one that was meant.
#pragma once

#include <algorithm>
#include <cassert>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "providers/json_read.h"
#include "providers/yaml_cursor.h"

namespace sluice {

inline constexpr std::size_t parameter_name_bytes_max = 256;  // as shown in errors

template <class Reader>
struct ParameterRow {
    std::string_view name;
    Status (Reader::*read)(JsonValue, const JsonPath&);
    bool nullable = true;  // null says the same as leaving it out
};

// The parameters of one request. The rows are sorted by name and outlive it.
template <class Reader>
class ParameterRows {
public:
    explicit ParameterRows(std::span<const ParameterRow<Reader>> rows) : rows_(rows) {
        assert(rows.size() <= 64);
    }

    // unknown(key, hint) says in the dialect's words that there is no such parameter.
    template <class Unknown>
    Status read(Reader& reader, JsonReader& json, JsonValue value, const JsonPath& path,
                const Unknown& unknown) {
        auto row = std::lower_bound(
            rows_.begin(), rows_.end(), path.key,
            [](const ParameterRow<Reader>& a, std::string_view b) { return a.name < b; });
        if (row == rows_.end() || row->name != path.key)
            return Error(
                Errc::invalid_request,
                unknown(std::string(path.key.substr(0, parameter_name_bytes_max)), hint(path.key)),
                path.text().substr(0, parameter_name_bytes_max));
        std::uint64_t bit = 1ULL << (row - rows_.begin());
        if (seen_ & bit) return json.wrong(path, "is there twice");
        seen_ |= bit;
        if (row->nullable && JsonReader::null(value)) return Done{};
        return (reader.*row->read)(value, path);
    }

private:
    std::string hint(std::string_view key) const {
        std::vector<std::string> names;
        for (const ParameterRow<Reader>& row : rows_) names.emplace_back(row.name);
        std::string near = key.size() < 64 ? nearest_word(key, names) : "";
        return near.empty() ? "" : ". Did you mean '" + near + "'?";
    }

    std::span<const ParameterRow<Reader>> rows_;
    std::uint64_t seen_ = 0;  // a bit a row
};

}  // namespace sluice
