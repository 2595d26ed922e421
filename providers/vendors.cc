#include "providers/vendor.h"
#include "providers/yaml_cursor.h"

namespace sluice {
namespace {

constexpr unsigned char builtin_yaml[] = {
#include "embedded/vendors_yaml.inc"
};

void read_text(Cursor& map, const char* key, std::string& value) {
    if (auto place = map.find(key))
        if (auto text = place->text()) value = *text;
}

// Also takes "", which Cursor::text() refuses.
void read_prefix(Cursor& map, std::string& value) {
    auto place = map.find("auth_prefix");
    if (!place) return;
    if (auto word = place->one_of({"", "Bearer "})) value = *word;
}

void read_flag(Cursor& map, const char* key, bool& value) {
    if (auto place = map.find(key))
        if (auto flag = place->boolean()) value = *flag;
}

void read_base_url(Cursor& map, std::string& value) {
    auto place = map.find("base_url");
    if (!place) return;
    auto url = place->text();
    if (!url) return;
    if (url->rfind("https://", 0) != 0 && url->rfind("http://", 0) != 0) {
        place->fault("expected a URL that starts with https:// or http://, got '" + *url + "'");
        return;
    }
    while (url->back() == '/') url->pop_back();
    value = *url;
}

Vendor read_vendor(const std::string& name, Cursor& map) {
    Vendor vendor;
    vendor.name = name;
    vendor.display_name = name;
    vendor.auth_header = "Authorization";
    vendor.auth_prefix = "Bearer ";
    read_text(map, "display_name", vendor.display_name);
    read_base_url(map, vendor.base_url);
    if (auto place = map.need("dialect"))
        if (auto word = place->one_of({"openai_chat", "anthropic_messages"}))
            vendor.dialect = *word;
    read_text(map, "auth_header", vendor.auth_header);
    read_prefix(map, vendor.auth_prefix);
    read_text(map, "key_env", vendor.key_env);
    if (auto headers = map.find("headers"))
        for (auto& [header, value] : headers->pairs())
            if (auto text = value.text()) vendor.headers[header] = *text;
    if (auto place = map.find("max_tokens_field"))
        if (auto word = place->one_of({"max_tokens", "max_completion_tokens"}))
            vendor.max_tokens_field = *word;
    read_flag(map, "stream_options", vendor.stream_options);
    read_flag(map, "developer_role", vendor.developer_role);
    read_flag(map, "inline_think", vendor.inline_think);
    if (auto place = map.find("drop_parameters")) vendor.drop_parameters = place->texts();
    read_flag(map, "simulated", vendor.simulated);
    map.close();
    return vendor;
}

}  // namespace

Vendors read_vendors(std::string_view yaml, const std::string& file, std::vector<Fault>& faults) {
    Vendors vendors;
    auto root = Cursor::parse(yaml, file, faults);
    if (!root || !root->expect_map()) return vendors;
    if (auto version = root->need("version")) version->integer(1, 1);
    if (auto list = root->need("vendors")) {
        for (auto& [name, map] : list->pairs()) {
            if (!map.expect_map()) continue;
            std::size_t before = faults.size();
            Vendor vendor = read_vendor(name, map);
            if (name == "engine") {
                map.fault("'engine' is the embedded engine and cannot be a vendor");
            }
            if (faults.size() == before) vendors.emplace(name, std::move(vendor));
        }
    }
    root->close();
    return vendors;
}

const Vendors& builtin_vendors() {
    static const Vendors vendors = [] {
        std::vector<Fault> faults;
        std::string_view yaml(reinterpret_cast<const char*>(builtin_yaml), sizeof builtin_yaml);
        return read_vendors(yaml, "vendors.yaml", faults);
    }();
    return vendors;
}

}  // namespace sluice
