// The snapshot itself: reading files, finding prices, what a reload may change. The YAML's keys are
// read in config_yaml.cc.
#include "gateway/config.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "gateway/config_yaml.h"

namespace sluice {
namespace {

constexpr std::size_t text_file_bytes_max = 16U << 20;

}  // namespace

const Upstream* Config::upstream(std::string_view name) const {
    for (const Upstream& one : upstreams)
        if (one.name == name) return &one;
    return nullptr;
}

const Upstream* Config::baseline() const {
    const PolicyTier* tier = policy.tier(policy.baseline_tier);
    if (tier == nullptr) return nullptr;
    for (const std::string& name : tier->upstreams) {
        const Upstream* one = upstream(name);
        if (one != nullptr && one->price_known) return one;
    }
    return nullptr;
}

std::string today_utc() {
    std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[16];
    std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
    return text;
}

std::string beside(const std::string& file, std::string_view path) {
    return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

std::optional<std::string> read_text_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes;
    std::array<char, 65'536> piece;
    // By read(): an iterator throws at what opens but cannot be read, such as a folder.
    while (in && bytes.size() <= text_file_bytes_max) {
        in.read(piece.data(), piece.size());
        bytes.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    }
    if (!in.eof() || bytes.size() > text_file_bytes_max) return {};
    return bytes;
}

std::string environment(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
}

std::string expand(Cursor& at, const std::string& text) {
    std::string out;
    std::size_t from = 0;
    for (;;) {
        std::size_t open = text.find("${", from);
        if (open == std::string::npos) return out + text.substr(from);
        std::size_t close = text.find('}', open);
        if (close == std::string::npos) {
            at.fault("'${' without '}'");
            return text;
        }
        out += text.substr(from, open - from);
        std::string inside = text.substr(open + 2, close - open - 2);
        std::size_t dash = inside.find(":-");
        std::string value = environment(inside.substr(0, dash));
        if (value.empty() && dash == std::string::npos)
            at.fault("environment variable " + inside + " is not set and has no default; write ${" +
                     inside + ":-default}");
        if (value.empty() && dash != std::string::npos) value = inside.substr(dash + 2);
        out += value;
        from = close + 1;
    }
}

std::string read_ledger_url(Cursor& url, const std::string& file) {
    const std::string text = expand(url, std::string(url.text().value_or("")));
    if (text.starts_with("sqlite:") && text.size() > 7)
        return "sqlite:" + beside(file, text.substr(7));
    url.fault("expected sqlite:PATH, got '" + text + "'");
    return "";
}

bool parse_listen(const std::string& text, std::string& address, std::uint16_t& port) {
    std::size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0) return false;
    int number = -1;
    const char* end = text.data() + text.size();
    auto [stop, failed] = std::from_chars(text.data() + colon + 1, end, number);
    if (failed != std::errc() || stop != end || number < 0 || number > 65'535) return false;
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string::npos)
        return false;
    address = host;
    port = static_cast<std::uint16_t>(number);
    return true;
}

Result<ConfigPtr> load_config(const std::string& path, const std::string& date,
                              std::vector<std::string>* files, const PolicyRollback* instead) {
    auto config = std::make_shared<Config>();
    std::vector<Fault> faults;
    auto text = read_text_file(path);
    if (!text) return Error(Errc::bad_config, path + ": cannot read this file (of at most 16 MiB)");
    read_config(*text, path, date, *config, faults, instead);
    if (files != nullptr) *files = config->files;
    if (!faults.empty()) return faults_error(faults);
    return ConfigPtr(std::move(config));
}

std::string needs_restart(const Config& now, const Config& next) {
    if (now.listen_address != next.listen_address || now.listen_port != next.listen_port)
        return "listen";
    if (now.io_threads != next.io_threads) return "io_threads";
    if (now.ledger.url != next.ledger.url) return "ledger.url";
    if (now.learning != next.learning) return "learning";
    // What was learned corrects one classifier.
    if (now.learning && now.classifier->version() != next.classifier->version())
        return "classifier";
    if (now.engine.has_value() != next.engine.has_value()) return "engine";
    if (now.engine) {
        const EngineOptions& a = now.engine->options;
        const EngineOptions& b = next.engine->options;
        if (a.model_path != b.model_path || a.device != b.device || a.threads != b.threads ||
            a.sequences_max != b.sequences_max || a.context_tokens_max != b.context_tokens_max ||
            a.kv_tokens != b.kv_tokens || a.kv_swap_tokens != b.kv_swap_tokens ||
            a.prefill_tokens_max != b.prefill_tokens_max || a.kv_format != b.kv_format ||
            a.batch_invariant != b.batch_invariant ||
            now.engine->answers.prefix_cache != next.engine->answers.prefix_cache)
            return "engine";
    }
    return "";
}

std::string newly_lost(const Config& now, const Config& next) {
    if (next.classifier_fault != now.classifier_fault && !next.classifier_fault.empty())
        return next.classifier_fault;
    if (next.rollback_fault != now.rollback_fault) return next.rollback_fault;
    return "";
}

}  // namespace sluice
