#include "gateway/policy_versions.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/log.h"
#include "gateway/config_yaml.h"
#include "gateway/utc_text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t activations_max = 1'000;
constexpr std::size_t versions_max = 200;  // kept; the oldest go

using Fields = std::vector<std::pair<const char*, const std::string*>>;

std::string json_of(const Fields& fields) {
    std::string out = "{";
    for (const auto& [name, value] : fields) {
        if (out.size() > 1) out += ',';
        append_json_string(out, name);
        out += ':';
        append_json_string(out, *value);
    }
    return out + "}\n";
}

// JSON is YAML here, and the cursor collects what is wrong.
Status read_fields(const std::string& text, const std::string& file,
                   const std::vector<std::pair<const char*, std::string*>>& fields) {
    std::vector<Fault> faults;
    auto root = Cursor::parse(text, file, faults);
    if (root && root->expect_map())
        for (const auto& [name, value] : fields)
            if (auto at = root->need(name)) *value = at->plain();
    if (!faults.empty()) return Error(Errc::bad_file, faults[0].text());
    return Done{};
}

Fields fields_of(const PolicyActivation& one) {
    return {{"at", &one.at},     {"version", &one.version}, {"owner", &one.owner},
            {"file", &one.file}, {"what", &one.what},       {"why", &one.why}};
}

// "canary 5 %" and "canary 20 %" are of one kind.
std::string_view kind_of(std::string_view what) { return what == "live" ? "live" : "candidate"; }

}  // namespace

PolicyLoader KeptPolicy::loader() const {
    return [this](const std::string& path) -> std::optional<std::string> {
        for (const auto& [name, text] : files)
            if (name == path) return text;
        return {};
    };
}

Status PolicyVersions::replace(const std::string& name, const std::string& bytes) const {
    std::error_code failed;
    fs::create_directories(folder_, failed);
    std::string path = folder_ + "/" + name, fresh = path + ".new";
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << bytes;
    out.close();
    if (out) fs::rename(fresh, path, failed);
    if (!out || failed)
        return Error(Errc::bad_file,
                     "cannot write " + path + (failed ? ": " + failed.message() : ""));
    return Done{};
}

Status PolicyVersions::keep(const Policy& policy) const {
    std::string name = policy.version + ".json";
    std::error_code failed;
    if (fs::exists(folder_ + "/" + name, failed)) {
        fs::last_write_time(folder_ + "/" + name, fs::file_time_type::clock::now(), failed);
        return Done{};
    }
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
    Status written = replace(name, out + "]}\n");
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
    auto known = activations();
    std::vector<PolicyActivation> all;
    if (known) all = std::move(*known);  // a file that cannot be read is begun anew
    auto last = std::find_if(all.rbegin(), all.rend(), [&](const PolicyActivation& one) {
        return kind_of(one.what) == kind_of(what);
    });
    if (last != all.rend() && last->version == policy.version && last->what == what) return Done{};
    all.push_back(
        {utc_text(std::time(nullptr)), policy.version, policy.owner, policy.file, what, why});
    if (all.size() > activations_max)
        all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(activations_max));
    std::string text;
    for (const PolicyActivation& one : all) text += json_of(fields_of(one));
    return replace("activations.jsonl", text);
}

Result<std::vector<PolicyActivation>> PolicyVersions::activations() const {
    std::vector<PolicyActivation> out;
    std::string file = folder_ + "/activations.jsonl";
    auto text = read_text_file(file);
    if (!text) return out;
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
        PolicyActivation one;
        Status read = read_fields(line, file,
                                  {{"at", &one.at},
                                   {"version", &one.version},
                                   {"owner", &one.owner},
                                   {"file", &one.file},
                                   {"what", &one.what},
                                   {"why", &one.why}});
        if (!read) return read.error();
        out.push_back(std::move(one));
    }
    return out;
}

Result<KeptPolicy> PolicyVersions::kept(const std::string& version) const {
    std::error_code failed;
    std::vector<std::string> all, found;
    for (const auto& entry : fs::directory_iterator(folder_, failed)) {
        std::string name = entry.path().stem().string();
        if (entry.path().extension() != ".json" || name == "rollback") continue;
        all.push_back(name);
        if (!version.empty() && name.starts_with(version)) found.push_back(name);
    }
    if (found.size() != 1) {
        std::string message = found.empty()
                                  ? "no policy of version '" + version + "' is kept in "
                                  : "more than one version begins with '" + version + "' in ";
        message += folder_ + "; there are";
        for (const std::string& one : all) message += " " + one;
        return Error(Errc::bad_file, message);
    }
    std::string file = folder_ + "/" + found[0] + ".json";
    auto text = read_text_file(file);
    if (!text) return Error(Errc::bad_file, "cannot read " + file);
    KeptPolicy out;
    std::vector<Fault> faults;
    auto root = Cursor::parse(*text, file, faults);
    if (root && root->expect_map()) {
        if (auto at = root->need("version")) out.version = at->plain();
        if (auto at = root->need("files"))
            for (Cursor& item : at->items()) {
                auto path = item.need("path"), bytes = item.need("text");
                if (path && bytes) out.files.emplace_back(path->plain(), bytes->plain());
            }
    }
    if (!faults.empty()) return Error(Errc::bad_file, faults[0].text());
    if (out.files.empty()) return Error(Errc::bad_file, file + ": has no files");
    return out;
}

Result<std::optional<PolicyRollback>> PolicyVersions::rollback() const {
    auto text = read_text_file(rollback_file());
    if (!text) return std::optional<PolicyRollback>();
    PolicyRollback one;
    Status read = read_fields(*text, rollback_file(),
                              {{"from", &one.from},
                               {"to", &one.to},
                               {"by", &one.by},
                               {"why", &one.why},
                               {"at", &one.at}});
    if (!read) return read.error();
    return std::optional<PolicyRollback>(std::move(one));
}

Status PolicyVersions::roll_back(PolicyRollback one) {
    one.at = utc_text(std::time(nullptr));
    return replace("rollback.json", json_of({{"from", &one.from},
                                             {"to", &one.to},
                                             {"by", &one.by},
                                             {"why", &one.why},
                                             {"at", &one.at}}));
}

Status PolicyVersions::resume() {
    std::error_code failed;
    fs::remove(rollback_file(), failed);
    if (failed)
        return Error(Errc::bad_file, "cannot remove " + rollback_file() + ": " + failed.message());
    return Done{};
}

}  // namespace sluice
