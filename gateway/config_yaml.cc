#include "gateway/config_yaml.h"

#include <filesystem>

#include "engine/engine.h"
#include "gateway/config.h"
#include "gateway/key_file.h"

namespace sluice {
namespace {

// What reading needs besides the cursor.
struct Reading {
    Config& config;
    std::vector<Fault>& faults;
    std::string date;
    Vendors vendors = builtin_vendors();
    PriceBook prices = PriceBook::builtin();

    std::string resolve(std::string_view path) const { return beside(config.file, path); }
};

template <class Int>
void read_int(Cursor& map, const char* key, Int& out, std::int64_t low, std::int64_t high) {
    if (auto at = map.find(key))
        if (auto value = at->integer(low, high)) out = static_cast<Int>(*value);
}

void read_flag(Cursor& map, const char* key, bool& out) {
    if (auto at = map.find(key))
        if (auto value = at->boolean()) out = *value;
}

void read_listen(Cursor& map, Config& config) {
    auto at = map.find("listen");
    if (!at) return;
    auto text = at->text();
    if (!text) return;
    if (!parse_listen(*text, config.listen_address, config.listen_port))
        at->fault("expected ADDRESS:PORT such as 127.0.0.1:8080, got '" + *text + "'");
}

void read_limits(Cursor& map, Config& config) {
    auto at = map.find("limits");
    if (!at || !at->expect_map()) return;
    constexpr std::int64_t hour_ms = 3'600'000;
    read_int(*at, "header_bytes_max", config.http.header_bytes_max, 1'024, 1 << 20);
    read_int(*at, "body_bytes_max", config.http.body_bytes_max, 1'024, 1LL << 30);
    read_int(*at, "header_ms", config.http.header_ms, 10, hour_ms);
    read_int(*at, "body_ms", config.http.body_ms, 10, hour_ms);
    read_int(*at, "idle_ms", config.http.idle_ms, 10, hour_ms);
    read_int(*at, "write_ms", config.http.write_ms, 10, hour_ms);
    read_int(*at, "connections_max", config.http.connections_max, 1, 1'000'000);
    read_int(*at, "requests_max", config.requests.requests_max, 1, 1'000'000);
    read_int(*at, "attempts_max", config.requests.attempts_max, 1, 100);
    read_int(*at, "fallback_ms", config.requests.fallback_ms, 0, 24 * hour_ms);
    at->close();
}

void read_ledger(Cursor& map, Reading& reading) {
    auto at = map.need("ledger");
    if (!at || !at->expect_map()) return;
    LedgerOptions& ledger = reading.config.ledger;
    if (auto url = at->need("url")) ledger.url = read_ledger_url(*url, reading.config.file);
    read_int(*at, "queue_entries_max", ledger.queue_entries_max, 16, 10'000'000);
    read_int(*at, "commit_rows_max", ledger.commit_rows_max, 1, 1'000'000);
    read_int(*at, "append_wait_ms_max", ledger.append_wait_ms_max, 10, 600'000);
    at->close();
}

void read_key(Cursor& item, std::vector<VirtualKey>& keys) {
    if (!item.expect_map()) return;
    VirtualKey key;
    if (auto at = item.need("id")) key.id = at->text().value_or("");
    if (auto at = item.need("team")) key.caller.team = at->text().value_or("");
    if (auto at = item.find("org")) key.caller.org = at->text().value_or("");
    if (auto at = item.find("user")) key.caller.user = at->text().value_or("");
    if (auto at = item.find("expires")) {
        key.expires = at->text().value_or("");
        bool shaped = key.expires.size() == 10 && key.expires[4] == '-' && key.expires[7] == '-';
        if (!key.expires.empty() && !shaped) at->fault("expected a date such as 2027-01-31");
    }
    if (auto at = item.need("sha256")) {
        key.sha256 = at->text().value_or("");
        bool hex = key.sha256.size() == 64 &&
                   key.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
        if (!key.sha256.empty() && !hex)
            at->fault(
                "expected the 64 hex digits of the key's SHA-256 (`sluice keys hash` prints them)");
        for (const VirtualKey& other : keys)
            if (hex && other.sha256 == key.sha256) at->fault("the same key as '" + other.id + "'");
    }
    read_flag(item, "loopback_only", key.loopback_only);
    read_flag(item, "admin", key.caller.admin);
    constexpr int highest = SubmitOptions::priority_max;
    read_int(item, "priority", key.caller.priority, -highest, highest);
    for (const VirtualKey& other : keys)
        if (!key.id.empty() && other.id == key.id) item.fault("duplicate key id '" + key.id + "'");
    item.close();
    key.caller.key_id = key.id;
    keys.push_back(std::move(key));
}

void read_keys(Cursor& map, Config& config) {
    auto at = map.need("keys");
    if (!at) return;
    std::vector<VirtualKey> keys;
    for (Cursor& item : at->items()) read_key(item, keys);
    config.keys = KeyRing(std::move(keys));
}

void read_engine(Cursor& map, Reading& reading) {
    auto at = map.find("engine");
    if (!at || !at->expect_map()) return;
    EngineSection engine;
    if (auto model = at->need("model")) {
        const std::string name = expand(*model, std::string(model->text().value_or("")));
        std::string& path = engine.options.model_path = reading.resolve(name);
        if (std::error_code no; name.empty() || !std::filesystem::exists(path, no))
            model->fault("no such file or folder: " + path + "; ./deploy/get-model fetches models");
    }
    if (auto device = at->find("device"))
        engine.options.device = device->one_of({"cpu", "cuda"}).value_or("cpu");
    read_int(*at, "threads", engine.options.threads, 0, 1'024);
    read_int(*at, "sequences_max", engine.options.sequences_max, 1, 1'024);
    read_int(*at, "waiting_max", engine.options.waiting_max, 0, 1'000'000);
    read_int(*at, "context_tokens_max", engine.options.context_tokens_max, 0, 1 << 20);
    read_int(*at, "kv_tokens", engine.options.kv_tokens, 0, 1LL << 32);
    read_int(*at, "kv_swap_tokens", engine.options.kv_swap_tokens, 0, 1LL << 31);
    read_int(*at, "prefill_tokens_max", engine.options.prefill_tokens_max, 1, 65'536);
    if (auto format = at->find("kv_format"))
        engine.options.kv_format = format->one_of({"bf16", "fp8"}).value_or("bf16");
    read_flag(*at, "batch_invariant", engine.options.batch_invariant);
    read_flag(*at, "restart_when_lost", engine.restart_when_lost);
    read_int(*at, "max_tokens_default", engine.answers.max_tokens_default, 1, 1 << 20);
    if (auto field = at->find("temperature")) engine.answers.temperature = field->number(0, 2);
    if (auto field = at->find("top_p")) engine.answers.top_p = field->number(0, 1);
    if (auto field = at->find("prefix_cache"))
        if (field->one_of({"off", "team"}) == "off") engine.answers.prefix_cache = PrefixCache::off;
    if (auto price = at->need("gpu_hour_usd")) {
        auto money = parse_usd(price->text().value_or("0"));
        if (money)
            engine.gpu_hour = *money;
        else
            price->fault(money.error().message);
    }
    read_int(*at, "tokens_per_hour", engine.tokens_per_hour, 1, 1LL << 40);
    if (engine.gpu_hour.pico_usd > 0 && engine.tokens_per_hour == 0)
        at->fault(
            "gpu_hour_usd needs tokens_per_hour: the output tokens an hour that it is spread "
            "over");
    if (engine.gpu_hour.pico_usd == 0)
        reading.config.warnings.push_back(
            "engine.gpu_hour_usd is 0: answers of the local tier are booked at no cost");
    at->close();
    reading.config.engine = engine;
}

void read_deadlines(Cursor& map, Deadlines& deadlines) {
    auto at = map.find("deadlines");
    if (!at || !at->expect_map()) return;
    constexpr std::int64_t day_ms = 86'400'000;
    read_int(*at, "connect_ms", deadlines.connect_ms, 1, day_ms);
    read_int(*at, "first_token_ms", deadlines.first_token_ms, 1, day_ms);
    read_int(*at, "inter_token_ms", deadlines.inter_token_ms, 1, day_ms);
    read_int(*at, "total_ms", deadlines.total_ms, 1, day_ms);
    at->close();
}

// Why the upstream is not to be used in this environment, or "".
std::string disabled_reason(Cursor& item) {
    std::string reason;
    if (auto at = item.find("unless_env"))
        for (const std::string& name : at->texts())
            if (!environment(name).empty() && reason.empty()) reason = name + " is set";
    return reason;
}

// A file's without its ending; a folder's as it is, dots and all.
std::string model_name(const std::filesystem::path& path) {
    if (std::error_code no; !std::filesystem::is_directory(path, no)) return path.stem().string();
    return (path / "").parent_path().filename().string();
}

void price_engine(Cursor& item, const Reading& reading, Upstream& upstream) {
    if (!reading.config.engine) {
        item.fault("vendor engine needs the section 'engine'");
        return;
    }
    const EngineSection& engine = *reading.config.engine;
    upstream.model = model_name(engine.options.model_path);
    upstream.context_tokens = 0;  // the engine checks exactly
    upstream.tools = false;
    upstream.json_schema = false;
    upstream.price_known = true;
    if (engine.tokens_per_hour > 0)  // rounded up: never books less than the hour costs
        upstream.price.output =
            (engine.gpu_hour.pico_usd + engine.tokens_per_hour - 1) / engine.tokens_per_hour;
    upstream.machine_hour = engine.gpu_hour;
    upstream.price_source = "engine.gpu_hour_usd";
}

void price_hosted(Cursor& item, Reading& reading, Upstream& upstream) {
    const PriceEntry* entry =
        reading.prices.find(upstream.vendor.name, upstream.model, reading.date);
    if (entry == nullptr) {
        item.fault("no price in force on " + reading.date + " for vendor " + upstream.vendor.name +
                   ", model " + upstream.model + ": add it to the price book");
        return;
    }
    upstream.price = entry->price;
    upstream.price_known = true;
    upstream.price_source = entry->source + " (" + entry->checked + ")";
}

bool read_vendor(Cursor& item, Reading& reading, Upstream& upstream) {
    auto at = item.need("vendor");
    if (!at) return false;
    std::string name = at->text().value_or("");
    if (name == "engine") {
        upstream.vendor.name = name;
        upstream.vendor.display_name = "embedded engine";
        return true;
    }
    auto known = reading.vendors.find(name);
    if (known == reading.vendors.end()) {
        std::vector<std::string> names{"engine"};
        for (const auto& [one, _] : reading.vendors) names.push_back(one);
        std::string near = nearest_word(name, names);
        at->fault("unknown vendor '" + name + "'" +
                  (near.empty() ? "" : ", did you mean '" + near + "'?"));
        return false;
    }
    upstream.vendor = known->second;
    return true;
}

// The credential, from the environment by name. Returns why the upstream is disabled, or "".
std::string read_credential(Cursor& item, Upstream& upstream, bool optional) {
    std::string name = upstream.vendor.key_env;
    if (auto at = item.find("api_key_env")) name = at->text().value_or("");
    if (name.empty()) return "";
    upstream.api_key = Secret(environment(name));
    if (!upstream.api_key.empty()) return "";
    if (optional) return name + " is not set";
    item.fault("environment variable " + name +
               " is not set; set it, or write 'optional: true' to go without this upstream");
    return "";
}

void read_hosted(Cursor& item, Reading& reading, Upstream& upstream) {
    if (auto at = item.need("model")) upstream.model = at->text().value_or("");
    upstream.base_url = upstream.vendor.base_url;
    if (auto at = item.find("base_url")) {
        upstream.base_url = expand(*at, at->text().value_or(""));
        bool http =
            upstream.base_url.starts_with("https://") || upstream.base_url.starts_with("http://");
        if (!upstream.base_url.empty() && !http) at->fault("expected an http:// or https:// URL");
    } else if (upstream.base_url.empty()) {
        item.fault("vendor " + upstream.vendor.name + " needs a base_url");
    }
    while (upstream.base_url.ends_with('/')) upstream.base_url.pop_back();
    if (!upstream.model.empty()) price_hosted(item, reading, upstream);
}

void read_upstream(Cursor& item, Reading& reading, std::vector<std::string>& names) {
    if (!item.expect_map()) return;
    Upstream upstream;
    if (auto at = item.need("name")) {
        upstream.name = at->text().value_or("");
        for (const std::string& other : names)
            if (other == upstream.name) at->fault("duplicate upstream '" + other + "'");
        names.push_back(upstream.name);
    }
    bool optional = false;
    read_flag(item, "optional", optional);
    std::string disabled = disabled_reason(item);
    if (!read_vendor(item, reading, upstream)) return;
    read_deadlines(item, upstream.deadlines);
    read_int(item, "context_tokens", upstream.context_tokens, 1, 100'000'000);
    read_int(item, "output_tokens_default", upstream.output_tokens_default, 1, 10'000'000);
    if (upstream.local()) {
        price_engine(item, reading, upstream);
    } else {
        std::string missing = read_credential(item, upstream, optional || !disabled.empty());
        if (disabled.empty()) disabled = missing;
        read_hosted(item, reading, upstream);
    }
    read_flag(item, "tools", upstream.tools);
    read_flag(item, "images", upstream.images);
    read_flag(item, "json_schema", upstream.json_schema);
    item.close();
    if (disabled.empty())
        reading.config.upstreams.push_back(std::move(upstream));
    else
        reading.config.disabled.push_back(upstream.name + ": " + disabled);
}

// Opens a file that the config names; a fault at the key when it cannot be read.
std::optional<std::string> read_named(Cursor& at, Reading& reading, std::string& path) {
    path = reading.resolve(at.text().value_or(""));
    auto text = read_text_file(path);
    if (!text) at.fault("cannot read " + path + " (of at most 16 MiB)");
    reading.config.files.push_back(path);
    return text;
}

void read_books(Cursor& map, Reading& reading) {
    std::string path;
    if (auto at = map.find("vendors"))
        if (auto text = read_named(*at, reading, path))
            reading.vendors = read_vendors(*text, path, reading.faults);
    if (auto at = map.find("prices"))
        if (auto text = read_named(*at, reading, path))
            reading.prices = PriceBook::read(*text, path, reading.faults);
}

void read_classifier(Cursor& map, Reading& reading) {
    reading.config.classifier = Classifier::builtin();
    if (auto at = map.find("classifier")) {
        std::string path = reading.resolve(at->text().value_or(""));
        reading.config.files.push_back(path);
        auto loaded = Classifier::load(path);
        if (loaded) {
            reading.config.classifier = *loaded;
        } else {
            at->fault(loaded.error().message);
            reading.config.classifier = Classifier::reasoning_only();
            reading.config.classifier_fault = reading.faults.back().text();
            reading.faults.pop_back();  // no reason not to serve
        }
    }
}

}  // namespace

void read_config(const std::string& yaml, const std::string& file, const std::string& date,
                 Config& config, std::vector<Fault>& faults, const PolicyRollback* instead) {
    config.file = file;
    config.files.push_back(file);
    auto root = Cursor::parse(yaml, file, faults);
    if (!root || !root->expect_map()) return;
    Reading reading{config, faults, date};
    if (auto version = root->need("version")) version->integer(1, 1);
    read_listen(*root, config);
    read_int(*root, "io_threads", config.io_threads, 1, 256);
    read_limits(*root, config);
    read_ledger(*root, reading);
    read_keys(*root, config);
    read_issued_keys(config, faults);
    read_budgets(*root, config);
    read_engine(*root, reading);
    read_books(*root, reading);
    std::vector<std::string> names;
    if (auto at = root->need("upstreams"))
        for (Cursor& item : at->items()) read_upstream(item, reading, names);
    read_policy_section(*root, config, names, instead, faults);
    read_classifier(*root, reading);
    read_learning_section(*root, config);
    read_golden_section(*root, config, faults);
    root->close();
}

}  // namespace sluice
