#include "gateway/config_notes.h"

#include <algorithm>
#include <set>
#include <utility>

#include "gateway/config.h"

namespace sluice {
namespace {

constexpr std::size_t notes_max = 100;

std::vector<std::string> listed(std::set<std::string> names) {
    names.erase("");
    return {names.begin(), names.end()};
}

// What a rule's words can meet, by what it asks for.
struct Known {
    std::vector<std::string> orgs, teams, keys, models;

    explicit Known(const Config& config) {
        std::set<std::string> of_orgs, of_teams, of_keys;
        for (const VirtualKey& one : config.keys.all()) {
            of_orgs.insert(one.caller.org);
            of_teams.insert(one.caller.team);
            of_keys.insert(one.id);
        }
        orgs = listed(std::move(of_orgs));
        teams = listed(std::move(of_teams));
        keys = listed(std::move(of_keys));
    }

    void take_models(const Config& config, const Policy& policy) {
        std::set<std::string> names = {"auto"};
        for (const auto& [alias, target] : policy.aliases) names.insert(alias);
        for (const PolicyTier& tier : policy.tiers) {
            names.insert(tier.name);
            names.insert(tier.upstreams.begin(), tier.upstreams.end());
        }
        for (const Upstream& one : config.upstreams) names.insert(one.model);
        models = listed(std::move(names));
    }
};

class Notes {
public:
    explicit Notes(const Known& known) : known_(known) {}

    // One file of a policy, which has been read without a fault.
    void read(const std::string& text, const std::string& file, const NamedCallers& callers) {
        kinds_ = {{"org", &known_.orgs, callers.orgs.empty()},
                  {"team", &known_.teams, callers.teams.empty()},
                  {"key", &known_.keys, callers.keys.empty()}};
        auto root = Cursor::parse(text, file, passing_);
        if (!root || !root->is_map()) return;
        each_when(root->find("confine"));
        each_when(root->find("rules"));
        if (auto teams = root->find("teams"); teams && teams->is_map())
            for (auto& [name, at] : teams->pairs()) look_for_caller(at, name, kinds_[1]);
        if (auto scoring = root->find("scoring"); scoring && scoring->is_map())
            each_when(scoring->find("values"));
    }

    std::vector<NameNote> take() {
        std::stable_partition(out_.begin(), out_.end(),
                              [](const NameNote& one) { return one.mistyped; });
        if (out_.size() > notes_max) {
            const std::size_t more = out_.size() - notes_max;
            out_.resize(notes_max);
            out_.push_back(
                {"note: and " + std::to_string(more) + " more names that nobody has", "", false});
        }
        return std::move(out_);
    }

private:
    struct KindOfCaller {
        const char* kind = "";
        const std::vector<std::string>* of_keys = nullptr;
        bool looked_for = true;  // the policy lists none itself
    };

    void each_when(std::optional<Cursor> list) {
        if (!list || !list->is_list()) return;
        for (Cursor& item : list->items())
            if (item.is_map())
                if (auto when = item.find("when")) read_when(*when);
    }

    void read_when(Cursor& when) {
        if (!when.is_map()) return;
        for (const KindOfCaller& one : kinds_)
            if (auto at = when.find(one.kind))
                for (Cursor& word : words(*at)) look_for_caller(word, word.plain(), one);
        if (auto at = when.find("model"))
            for (Cursor& word : words(*at)) look_for_model(word);
        for (const char* key : {"all", "any", "not"})
            if (auto at = when.find(key))
                for (Cursor& part : words(*at)) read_when(part);
    }

    // A list's, or what stands for a list of one.
    static std::vector<Cursor> words(Cursor& at) {
        if (at.is_list()) return at.items();
        return {at};
    }

    void look_for_caller(Cursor& word, const std::string& name, const KindOfCaller& by) {
        if (!by.looked_for) return;
        if (std::binary_search(by.of_keys->begin(), by.of_keys->end(), name)) return;
        const std::string near = nearest_word(name, *by.of_keys);
        const std::string subject = std::string(by.kind) + " '" + name + "'";
        if (near.empty())
            note(word, subject,
                 "note: no key has " + subject + ": it matches nobody until one has");
        else
            note(word, subject,
                 "no key has " + subject + ", did you mean '" + near +
                     "'? If not, list all that may be named under 'callers." + by.kind + "s'",
                 true);
    }

    // Any name may be asked for: only one that is nearly another looks mistyped.
    void look_for_model(Cursor& word) {
        const std::string name = word.plain();
        if (std::binary_search(known_.models.begin(), known_.models.end(), name)) return;
        std::string near = nearest_word(name, known_.models);
        if (near.empty()) return;
        const std::string subject = "model '" + name + "'";
        note(word, subject, "note: there is no " + subject + " here, did you mean '" + near + "'?");
    }

    void note(Cursor& at, const std::string& subject, const std::string& message,
              bool mistyped = false) {
        at.fault(message);
        out_.push_back({passing_.back().text(), subject, mistyped});
        passing_.pop_back();
    }

    const Known& known_;
    std::vector<KindOfCaller> kinds_;
    std::vector<Fault> passing_;  // a cursor's place comes out of it as a fault
    std::vector<NameNote> out_;
};

// Of the policies of `config`, with what `keys` knows.
std::vector<NameNote> notes_of(const Config& config, const Config& keys) {
    Known known(keys);
    Notes notes(known);
    std::set<std::pair<std::string, std::string>> read;  // a candidate may extend the same file
    for (const Policy* policy :
         {&config.policy, config.candidate ? &config.candidate->policy : nullptr}) {
        if (policy == nullptr) continue;
        known.take_models(config, *policy);
        for (std::size_t i = 0; i < policy->texts.size() && i < policy->files.size(); ++i)
            if (read.emplace(policy->files[i], policy->texts[i]).second)
                notes.read(policy->texts[i], policy->files[i], policy->callers);
    }
    return notes.take();
}

}  // namespace

std::vector<NameNote> name_notes(const Config& config) { return notes_of(config, config); }

std::string newly_mistyped(const Config& now, const Config& next) {
    std::set<std::string> before;
    for (const NameNote& one : notes_of(now, next))
        if (one.mistyped) before.insert(one.subject);
    std::string said;
    for (const NameNote& one : notes_of(next, next))
        if (one.mistyped && before.count(one.subject) == 0)
            said += (said.empty() ? "" : "\n") + one.said;
    return said;
}

std::string classifier_note(const Config& config) {
    if (config.classifier_fault.empty()) return "";
    return config.classifier_fault + "; difficulty is the need of reasoning instead";
}

}  // namespace sluice
