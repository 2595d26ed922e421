// sluice keys: virtual keys made by command. A secret is printed once, when it is made, and only
// its digest is kept. Works on the file beside the ledger: a running gateway sees it change.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "engine/log.h"
#include "gateway/commands.h"
#include "gateway/config.h"
#include "gateway/key_file.h"
#include "gateway/random_bytes.h"
#include "gateway/utc_text.h"
#include "policies/sha256.h"
#include "providers/yaml_cursor.h"

namespace sluice {
namespace {

struct KeysOptions {
    std::string config;
    std::string id;
    std::string org, team, user;
    std::string budget_usd, window;
    bool json = false;
};

int fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    return 1;
}

// 5 random bits a character.
Result<std::string> random_text(std::string out, std::size_t size) {
    static constexpr char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[64];  // at most
    if (size > sizeof bytes || !random_bytes(bytes, size))
        return Error(Errc::internal,
                     std::string("the system gives no random bytes: ") + std::strerror(errno));
    for (std::size_t i = 0; i < size; ++i) out += digits[bytes[i] & 31];
    return out;
}

Result<std::string> new_secret() { return random_text("sk-", 40); }

// Two commands at once: the second waits for the first. Held until the process ends or this does.
class Locked {
public:
    explicit Locked(const std::string& path) {
        std::error_code failed;  // then it cannot be opened, either
        std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
        file_ = ::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        held_ = file_ >= 0 && ::flock(file_, LOCK_EX) == 0;
        if (!held_) why_ = path + ".lock: cannot lock: " + std::strerror(errno);
    }
    ~Locked() {
        if (file_ >= 0) ::close(file_);
    }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    bool held() const { return held_; }
    const std::string& why() const { return why_; }

private:
    int file_ = -1;
    bool held_ = false;
    std::string why_;
};

void append_field(std::string& out, const char* name, std::string_view value) {
    if (out.size() > 1) out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
}

std::string json_of(const IssuedKey& key, const std::string& secret, const char* from) {
    std::string out = "{";
    append_field(out, "id", key.id);
    if (!secret.empty()) append_field(out, "key", secret);
    append_field(out, "org", key.org);
    append_field(out, "team", key.team);
    append_field(out, "user", key.user);
    append_field(out, "created", key.created);
    append_field(out, "revoked", key.revoked);
    append_field(out, "budget_usd", key.budget_usd);
    append_field(out, "window", key.window);
    append_field(out, "from", from);
    return out + "}";
}

// The secret alone on stdout, so that it can be piped; the rest is for who looks on.
void show_secret(const KeysOptions& options, const IssuedKey& key, const std::string& secret) {
    if (options.json) {
        std::printf("%s\n", json_of(key, secret, "keys").c_str());
        return;
    }
    std::printf("%s\n", secret.c_str());
    std::fprintf(stderr,
                 "key %s of team %s; its secret is shown this once, and a running gateway takes it "
                 "within a second\n",
                 key.id.c_str(), key.team.c_str());
}

// Reads what was issued, lets `change` work on that, writes it back.
template <class Change>
int with_keys(const KeysOptions& options, Change change) {
    auto place = find_key_file(options.config);
    if (!place) return fail(place.error().message);
    KeyFile file(place->path);
    Locked lock(file.path());
    if (!lock.held()) return fail(lock.why());
    auto keys = file.read();
    if (!keys) return fail(keys.error().message);
    std::string fault = change(*place, *keys);
    if (!fault.empty()) return fail(fault);
    std::string unsynced;  // done all the same: who turned a key needs the new secret
    Status written = file.write(*keys, &unsynced);
    if (!unsynced.empty())
        std::fprintf(stderr, "%s: done, but lost if the machine fails now\n", unsynced.c_str());
    return written ? 0 : fail(written.error().message);
}

// The key of that id in force, or why there is none.
std::string find_key(const KeysOptions& options, const KeyPlace& place,
                     std::vector<IssuedKey>& keys, IssuedKey*& out) {
    const std::string& id = options.id;
    std::vector<std::string> ids;
    for (IssuedKey& key : keys) {
        ids.push_back(key.id);
        if (key.id == id) out = &key;
    }
    if (out != nullptr && out->revoked.empty()) return "";
    if (out != nullptr) return "key '" + id + "' was revoked at " + out->revoked;
    for (const IssuedKey& own : place.configured)
        if (own.id == id)
            return "key '" + id + "' stands in " + options.config + ": change it there";
    std::string near = nearest_word(id, ids);
    return "there is no key '" + id + "'" + (near.empty() ? "" : ", did you mean '" + near + "'?");
}

// Rules and budgets name teams and orgs: one that nobody else is of may be a slip of the pen.
void note_new(const KeyRing& keys, const char* what, const std::string& name,
              std::string Caller::*of) {
    std::vector<std::string> known;
    for (const VirtualKey& key : keys.all()) known.push_back(key.caller.*of);
    if (name.empty() || std::find(known.begin(), known.end(), name) != known.end()) return;
    std::string near = nearest_word(name, known);
    std::fprintf(stderr, "note: no other key is of %s '%s'%s\n", what, name.c_str(),
                 near.empty() ? "" : (", did you mean '" + near + "'?").c_str());
}

// Why the gateway's configuration would not take this key, or "".
std::string refusal(const KeysOptions& options, const IssuedKey& key) {
    constexpr std::size_t comes_with_key = 6;  // at most: a day's, a month's, in all; its team's
    auto config = load_config(options.config, today_utc());
    if (!config) return config.error().message;
    if (std::string fault = fault_of(key, (*config)->keys.all()); !fault.empty())
        return "this key cannot be made: " + fault;
    const std::size_t budgets = (*config)->budgets.budgets.size();
    if (budgets + comes_with_key <= budgets_max) {
        note_new((*config)->keys, "team", key.team, &Caller::team);
        note_new((*config)->keys, "org", key.org, &Caller::org);
        return "";
    }
    return "there are " + std::to_string(budgets) + " budgets, at most " +
           std::to_string(budgets_max) + " are kept: revoke keys that have one";
}

int create(const KeysOptions& options) {
    auto limit = parse_usd(options.budget_usd.empty() ? "0" : options.budget_usd);
    if (!limit) {
        std::fprintf(stderr, "--budget-usd: %s\n", limit.error().message.c_str());
        return 2;
    }
    IssuedKey key;
    auto id = random_text("key_", 12);
    auto secret = new_secret();
    if (!id || !secret) return fail((id ? secret : id).error().message);
    int status = with_keys(options, [&](const KeyPlace&, std::vector<IssuedKey>& keys) {
        key.id = *id;
        key.org = options.org;
        key.team = options.team;
        key.user = options.user;
        key.sha256 = sha256_hex(*secret);
        key.created = utc_text(std::time(nullptr));
        key.budget_usd = options.budget_usd;
        key.window = options.window;
        keys.push_back(key);
        return refusal(options, key);
    });
    if (status == 0) show_secret(options, key, *secret);
    return status;
}

int revoke(const KeysOptions& options) {
    int status = with_keys(options, [&](const KeyPlace& place, std::vector<IssuedKey>& keys) {
        IssuedKey* key = nullptr;
        std::string fault = find_key(options, place, keys, key);
        if (fault.empty()) key->revoked = utc_text(std::time(nullptr));
        return fault;
    });
    if (status == 0)
        std::fprintf(stderr, "key %s is revoked; a running gateway refuses it within a second\n",
                     options.id.c_str());
    return status;
}

int rotate(const KeysOptions& options) {
    IssuedKey rotated;
    auto secret = new_secret();
    if (!secret) return fail(secret.error().message);
    int status = with_keys(options, [&](const KeyPlace& place, std::vector<IssuedKey>& keys) {
        IssuedKey* key = nullptr;
        std::string fault = find_key(options, place, keys, key);
        if (!fault.empty()) return fault;
        key->sha256 = sha256_hex(*secret);
        rotated = *key;
        return fault;
    });
    if (status == 0) show_secret(options, rotated, *secret);
    return status;
}

void print_key(const KeysOptions& options, const IssuedKey& key, const char* from) {
    bool wanted = (options.team.empty() || key.team == options.team) &&
                  (options.user.empty() || key.user == options.user);
    if (!wanted) return;
    if (options.json) {
        std::printf("%s\n", json_of(key, "", from).c_str());
        return;
    }
    auto shown = [](const std::string& text) { return text.empty() ? "-" : text.c_str(); };
    std::string budget = key.budget_usd.empty() ? "-" : "$" + key.budget_usd + " " + key.window;
    std::printf("%-18s %-16s %-16s %-20s %-16s %s\n", key.id.c_str(), key.team.c_str(),
                shown(key.user), shown(key.created), budget.c_str(),
                key.revoked.empty() ? from : ("revoked " + key.revoked).c_str());
}

// Works whatever else is wrong in the configuration: who has to end a key looks here first.
int list(const KeysOptions& options) {
    auto place = find_key_file(options.config);
    if (!place) return fail(place.error().message);
    auto keys = KeyFile(place->path).read();
    if (!keys) return fail(keys.error().message);
    if (!options.json)
        std::printf("%-18s %-16s %-16s %-20s %-16s %s\n", "id", "team", "user", "created", "budget",
                    "from");
    for (const IssuedKey& key : place->configured) print_key(options, key, "configuration");
    for (const IssuedKey& key : *keys) print_key(options, key, "keys");
    return 0;
}

// Not from the command line, which others on the machine can see.
int hash() {
    std::string secret;
    std::getline(std::cin, secret);
    while (!secret.empty() && (secret.back() == '\r' || secret.back() == ' ')) secret.pop_back();
    if (secret.empty()) return fail("expected the key's secret on standard input");
    std::printf("%s\n", sha256_hex(secret).c_str());
    return 0;
}

using Options = std::shared_ptr<KeysOptions>;

Command add_one(Command& keys, const Options& options, const char* name, const char* help,
                int (*run)(const KeysOptions&), int& status) {
    Command command = keys.add_subcommand(name, help);
    command.add_option("--config", options->config, "configuration file").required();
    command.callback([options, run, &status] { status = run(*options); });
    return command;
}

}  // namespace

void add_keys(Command& app, int& status) {
    Command keys = app.add_subcommand("keys", "Virtual keys: create, list, revoke, rotate, hash");
    keys.require_subcommand();
    keys.footer(  // of those below, too
        "Example:\n  sluice keys create --config sluice.yaml --team search"
        " --budget-usd 50 --window month\n"
        "  sluice keys list --config sluice.yaml\n"
        "  sluice keys rotate --config sluice.yaml key_4ws2k7dq3mab\n"
        "  sluice keys revoke --config sluice.yaml key_4ws2k7dq3mab\n"
        "  printf %s \"$SECRET\" | sluice keys hash");
    auto options = std::make_shared<KeysOptions>();
    Command making = add_one(keys, options, "create", "Make a key; its secret is printed this once",
                             create, status);
    making.add_option("--team", options->team, "whose key it is").required();
    making.add_option("--org", options->org,
                      "of which org; default: that of the configuration's keys of the team");
    making.add_option("--user", options->user, "who uses it");
    Option money = making.add_option("--budget-usd", options->budget_usd, "what it may spend");
    Option window =
        making.add_option("--window", options->window, "day, month or total: in that time")
            .one_of({"day", "month", "total"});
    money.needs(window);
    window.needs(money);
    making.add_flag("--json", options->json, "one JSON object: {\"id\",\"key\",...}");
    Command listing =
        add_one(keys, options, "list", "All keys, without their secrets", list, status);
    listing.add_option("--team", options->team, "of this team only");
    listing.add_option("--user", options->user, "of this user only");
    listing.add_flag("--json", options->json, "one JSON object a line");
    Command ending = add_one(keys, options, "revoke", "End a key", revoke, status);
    ending.add_option("ID", options->id, "the key's id, as `list` shows it").required();
    Command turning = add_one(keys, options, "rotate", "A new secret for a key; the old one ends",
                              rotate, status);
    turning.add_option("ID", options->id, "the key's id, as `list` shows it").required();
    turning.add_flag("--json", options->json, "one JSON object: {\"id\",\"key\",...}");
    Command digest = keys.add_subcommand(
        "hash", "The SHA-256 that a key has in a configuration, of the secret on standard input");
    digest.callback([&status] { status = hash(); });
}

}  // namespace sluice
