#include "gateway/json_lines.h"

#include "engine/log.h"
#include "providers/json_fault.h"
#include "providers/yaml_cursor.h"

namespace sluice {

std::string json_line(const std::vector<std::pair<const char*, const std::string*>>& fields) {
    std::string out = "{";
    for (const auto& [name, value] : fields) {
        if (out.size() > 1) out += ',';
        append_json_string(out, name);
        out += ':';
        append_json_string(out, *value);
    }
    return out + "}\n";
}

// JSON is YAML here, and the cursor collects what is wrong; what is YAML only, or no UTF-8, did not
// come from json_line() and is damaged.
Status read_json_line(const std::string& line, const std::string& place,
                      const std::vector<std::pair<const char*, std::string*>>& fields,
                      const std::vector<std::pair<const char*, std::string*>>& newer) {
    if (auto fault = find_json_fault(line))
        return Error(Errc::bad_file,
                     place + ":1:" + std::to_string(fault->offset + 1) + ": " + fault->message);
    std::vector<Fault> faults;
    auto root = Cursor::parse(line, place, faults);
    if (root && root->expect_map()) {
        for (const auto& [name, value] : fields)
            if (auto at = root->need(name)) *value = at->plain();
        for (const auto& [name, value] : newer)
            if (auto at = root->find(name)) *value = at->plain();
    }
    if (!faults.empty()) return Error(Errc::bad_file, faults[0].text());
    return Done{};
}

}  // namespace sluice
