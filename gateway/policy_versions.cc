#include "gateway/policy_versions.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <sstream>

#include "engine/log.h"
#include "gateway/config_yaml.h"
#include "gateway/json_lines.h"
#include "gateway/learning/state_file.h"
#include "gateway/utc_text.h"
#include "providers/json_read.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t activations_max = 1'000;
constexpr std::size_t versions_max = 200;  // kept; the oldest go
constexpr unsigned file_mode = 0644;       // of the gateway and of who runs `sluice policy`

std::string line_of(const PolicyActivation& one) {
    return json_line({{"at", &one.at},
                      {"version", &one.version},
                      {"owner", &one.owner},
                      {"file", &one.file},
                      {"what", &one.what},
                      {"why", &one.why}});
}

// "canary 5 %" and "canary 20 %" are of one kind.
std::string_view kind_of(std::string_view what) { return what == "live" ? "live" : "candidate"; }

// The versions that are kept, in no order.
std::vector<std::string> copies_in(const std::string& folder) {
    std::vector<std::string> out;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
        std::string name = entry.path().stem().string();
        if (entry.path().extension() == ".json" && name != "rollback") out.push_back(name);
    }
    return out;
}

Status read_copied_file(JsonReader& json, JsonValue value, const JsonPath& path,
                        std::pair<std::string, std::string>& out) {
    bool named = false, whole = false;
    Status read = json.members(value, path, [&](std::string_view key, JsonValue at) -> Status {
        JsonPath place{&path, key, -1};
        named = named || key == "path";
        whole = whole || key == "text";
        if (key == "path") return json.text(at, place, out.first);
        return key == "text" ? json.text(at, place, out.second) : Done{};
    });
    if (read && !(named && whole)) return json.wrong(path, "expected path and text");
    return read;
}

// Errors: bad_file with its name.
Result<KeptPolicy> read_copy(const std::string& file, const std::string& version) {
    auto text = read_text_file(file);
    if (!text) return Error(Errc::bad_file, "cannot read " + file);
    KeptPolicy out;
    JsonReader json(*text, Errc::bad_file);
    Status read = json.root([&](std::string_view key, JsonValue value) -> Status {
        JsonPath path{nullptr, key, -1};
        if (key == "version") return json.text(value, path, out.version);
        if (key != "files") return Done{};
        return json.items(value, path, [&](std::int64_t index, JsonValue item) -> Status {
            JsonPath place{&path, {}, index};
            return read_copied_file(json, item, place, out.files.emplace_back());
        });
    });
    if (!read) return Error(Errc::bad_file, file + ": " + read.error().message);
    if (out.files.empty()) return Error(Errc::bad_file, file + ": has no files");
    std::vector<std::string> texts;
    for (const auto& [name, bytes] : out.files) texts.push_back(bytes);
    if (out.version != version || policy_version(texts) != version)
        return Error(Errc::bad_file, file + ": has been changed");
    return out;
}

}  // namespace

PolicyLoader KeptPolicy::loader() const {
    return [this](const std::string& path) -> std::optional<std::string> {
        for (const auto& [name, text] : files)
            if (name == path) return text;
        return {};
    };
}

Status PolicyVersions::replace(const std::string& name, const std::string& bytes) const {
    return write_state_file(folder_ + "/" + name, bytes, file_mode);
}

Status PolicyVersions::keep(const Policy& policy) const {
    std::string name = policy.version + ".json";
    std::error_code failed;
    std::string out = "{\"version\":";
    append_json_string(out, policy.version);
    out += ",\"files\":[";
    for (std::size_t i = 0; i < policy.files.size() && i < policy.texts.size(); ++i) {
        out += i == 0 ? "{\"path\":" : ",\n{\"path\":";
        append_json_string(out, policy.files[i]);
        out += ",\"text\":";
        append_json_string(out, policy.texts[i]);
        out += '}';
    }
    out += "]}\n";
    if (read_text_file(folder_ + "/" + name) == out) {
        fs::last_write_time(folder_ + "/" + name, fs::file_time_type::clock::now(), failed);
        return Done{};
    }
    Status written = replace(name, out);  // also one that was damaged
    if (!written) return written;
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(folder_, failed))
        if (entry.path().extension() == ".json" && entry.path().filename() != "rollback.json")
            all.push_back(entry.path());
    std::sort(all.begin(), all.end(), [](const fs::path& a, const fs::path& b) {
        std::error_code no;
        return fs::last_write_time(a, no) > fs::last_write_time(b, no);
    });
    for (std::size_t i = versions_max; i < all.size(); ++i) fs::remove(all[i], failed);
    return Done{};
}

Status PolicyVersions::note(const Policy& policy, const std::string& what, const std::string& why) {
    Status kept = keep(policy);
    if (!kept) return kept;
    std::vector<std::string> torn;
    auto known = activations(&torn);
    if (!known) return known.error();
    for (const std::string& line : torn)
        log_error("policy_version_damaged",
                  {{"message", line}, {"instead", "the line is left out"}});
    std::vector<PolicyActivation> all = std::move(*known);
    auto last = std::find_if(all.rbegin(), all.rend(), [&](const PolicyActivation& one) {
        return kind_of(one.what) == kind_of(what);
    });
    if (last != all.rend() && last->version == policy.version && last->what == what) return Done{};
    all.push_back(
        {utc_text(std::time(nullptr)), policy.version, policy.owner, policy.file, what, why});
    if (all.size() > activations_max)
        all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(activations_max));
    std::string text;
    for (const PolicyActivation& one : all) text += line_of(one);
    return replace("activations.jsonl", text);
}

Result<std::vector<PolicyActivation>> PolicyVersions::activations(
    std::vector<std::string>* torn) const {
    std::vector<PolicyActivation> out;
    std::string file = folder_ + "/activations.jsonl";
    auto text = read_state_file(file);
    if (!text) return text.error();
    std::istringstream lines(*text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        std::string place = file + ":" + std::to_string(++number);
        PolicyActivation one;
        Status read = read_json_line(line, place,
                                     {{"at", &one.at},
                                      {"version", &one.version},
                                      {"owner", &one.owner},
                                      {"file", &one.file},
                                      {"what", &one.what},
                                      {"why", &one.why}});
        if (read)
            out.push_back(std::move(one));
        else if (torn != nullptr)
            torn->push_back("damaged: " + read.error().message);
    }
    return out;
}

std::optional<PolicyActivation> PolicyVersions::last_live(const std::string& but) const {
    auto all = activations();
    if (!all) return {};
    for (auto one = all->rbegin(); one != all->rend(); ++one)
        if (one->what == "live" && one->version != but) return *one;
    return {};
}

Result<KeptPolicy> PolicyVersions::kept(const std::string& version) const {
    const std::vector<std::string> all = copies_in(folder_);
    std::vector<std::string> found;
    for (const std::string& name : all)
        if (!version.empty() && name.starts_with(version)) found.push_back(name);
    if (found.size() != 1) {
        std::string message = found.empty()
                                  ? "no policy of version '" + version + "' is kept in "
                                  : "more than one version begins with '" + version + "' in ";
        message += folder_ + "; there are";
        for (const std::string& one : all) message += " " + one;
        return Error(Errc::bad_file, message);
    }
    return read_copy(folder_ + "/" + found[0] + ".json", found[0]);
}

Result<std::optional<PolicyRollback>> PolicyVersions::rollback() const {
    auto text = read_state_file(rollback_file());
    if (!text) return text.error();
    if (std::error_code no; text->empty() && !fs::exists(rollback_file(), no))
        return std::optional<PolicyRollback>();
    PolicyRollback one;
    Status read = read_json_line(
        *text, rollback_file(),
        {{"from", &one.from}, {"to", &one.to}, {"by", &one.by}, {"why", &one.why}, {"at", &one.at}},
        {{"company", &one.company}});
    if (!read) return Error(Errc::bad_file, "damaged: " + read.error().message);
    return std::optional<PolicyRollback>(std::move(one));
}

Status PolicyVersions::roll_back(PolicyRollback one) {
    one.at = utc_text(std::time(nullptr));
    return replace("rollback.json", json_line({{"from", &one.from},
                                               {"to", &one.to},
                                               {"by", &one.by},
                                               {"why", &one.why},
                                               {"at", &one.at},
                                               {"company", &one.company}}));
}

Status PolicyVersions::resume() { return remove_state_file(rollback_file()); }

std::vector<std::string> PolicyVersions::damage() const {
    std::vector<std::string> out;
    if (auto noted = rollback(); !noted) out.push_back(noted.error().message);
    if (auto notes = activations(&out); !notes) out.push_back(notes.error().message);
    std::vector<std::string> copies = copies_in(folder_);
    std::sort(copies.begin(), copies.end());
    for (const std::string& name : copies)
        if (auto copy = read_copy(folder_ + "/" + name + ".json", name); !copy)
            out.push_back("damaged: " + copy.error().message);
    return out;
}

}  // namespace sluice
