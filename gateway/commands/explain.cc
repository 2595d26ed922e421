// sluice explain --config FILE < request.json: what the gateway would do with one OpenAI chat
// request, and why. Calls nobody.
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <span>
#include <string>

#include "engine/log.h"
#include "gateway/chat_reply.h"
#include "gateway/commands.h"
#include "gateway/commands/unopened_engine.h"
#include "gateway/config.h"
#include "gateway/config_notes.h"
#include "gateway/day_pace.h"
#include "gateway/draws.h"
#include "gateway/learning/learned_file.h"
#include "gateway/stores/spent.h"
#include "policies/correction.h"
#include "policies/value.h"
#include "providers/dialect.h"
#include "providers/token_estimate.h"

namespace sluice {
namespace {

struct ExplainOptions {
    std::string config;
    std::string team;
    std::string key;
    std::string tags;
    std::string data_class;
    std::string headers;
    std::string session, session_at;
    std::int64_t session_cached = 0;
    std::string org, user;
    std::string learned;
    bool json = false;
};

std::string number_text(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", value);
    return text;
}

void append_considered(std::string& out, const Route& route) {
    out += ",\"considered\":[";
    for (const TierWorth& one : route.considered) {
        if (&one != &route.considered.front()) out += ',';
        out += "{\"tier\":";
        append_json_string(out, one.tier->name);
        if (one.upstream == nullptr) {
            out += ",\"able\":false}";
            continue;
        }
        out += ",\"able\":true,\"upstream\":";
        append_json_string(out, one.upstream->name);
        out += ",\"p_ok\":" + number_text(one.p_ok) + ",\"cost_usd\":" + usd_text(one.cost) +
               ",\"seconds\":" + number_text(one.seconds) +
               ",\"worth_usd\":" + usd_text(one.worth) + "}";
    }
    out += ']';
}

// What the policy on trial would do with it.
struct Trial {
    const PolicyCandidate* candidate = nullptr;
    Result<Route> route;
};

void append_trial(std::string& out, const Trial& trial) {
    if (trial.candidate == nullptr) return;
    auto field = [&out](const char* name, std::string_view value) {
        out += std::string(",\"") + name + "\":";
        append_json_string(out, value);
    };
    out += ",\"candidate\":{\"what\":";
    append_json_string(out, trial.candidate->what());
    field("policy_version", trial.candidate->policy.version);
    if (trial.route) {
        field("tier", trial.route->tier);
        field("upstream", trial.route->attempts.front().upstream->name);
        field("rule", trial.route->rule);
        field("reason", trial.route->reason);
    } else {
        field("refused", trial.route.error().message);
    }
    out += '}';
}

void print_json(const Config& config, const Route& route, const Difficulty& difficulty,
                Money expected, const Trial& trial, const LearnerModel& learned) {
    std::string out = "{\"tier\":";
    append_json_string(out, route.attempts.front().tier);
    out += ",\"upstream\":";
    append_json_string(out, route.attempts.front().upstream->name);
    out += ",\"rule\":";
    append_json_string(out, route.rule);
    out += ",\"reason\":";
    append_json_string(out, route.reason);
    out += ",\"difficulty\":" + number_text(difficulty.score);
    out += ",\"learned_version\":" + std::to_string(learned.version);
    out += ",\"expected_cost_usd\":" + usd_text(expected);
    out += ",\"attempts\":[";
    for (const Attempt& attempt : route.attempts) {
        if (&attempt != &route.attempts.front()) out += ',';
        out += "{\"tier\":";
        append_json_string(out, attempt.tier);
        out += ",\"upstream\":";
        append_json_string(out, attempt.upstream->name);
        if (!attempt.reasoning_effort.empty()) {
            out += ",\"reasoning_effort\":";
            append_json_string(out, attempt.reasoning_effort);
        }
        out += '}';
    }
    out += "],\"skipped\":[";
    for (const std::string& skipped : route.skipped) {
        if (&skipped != &route.skipped.front()) out += ',';
        append_json_string(out, skipped);
    }
    out += ']';
    append_considered(out, route);
    if (route.max_tokens) out += ",\"max_tokens\":" + std::to_string(*route.max_tokens);
    out += ",\"policy_version\":";
    append_json_string(out, config.policy.version);
    append_trial(out, trial);
    std::printf("%s}\n", out.c_str());
}

void print_text(const Config& config, const Route& route, const ChatRequest& chat,
                const Difficulty& difficulty, Money expected) {
    std::printf("tier        %s\nupstream    %s\nrule        %s\nreason      %s\n",
                route.attempts.front().tier.c_str(), route.attempts.front().upstream->name.c_str(),
                route.rule.c_str(), route.reason.c_str());
    std::printf("difficulty  %.4f (gain %.4f, about %.0f output tokens)\n", difficulty.score,
                difficulty.gain, difficulty.expected_output_tokens);
    std::printf("expected    $%s\npolicy      %s (%s)\n", usd_text(expected).c_str(),
                config.policy.file.c_str(), config.policy.version.c_str());
    for (const TierWorth& one : route.considered)
        std::printf("considered  %s\n", worth_text(one).c_str());
    if (route.max_tokens)
        std::printf("max_tokens  %lld\n", static_cast<long long>(*route.max_tokens));
    for (std::size_t i = 0; i < route.attempts.size(); ++i) {
        const Attempt& attempt = route.attempts[i];
        std::string effort(attempt.reasoning_effort);
        if (!effort.empty()) effort = ", reasoning effort " + effort;
        std::printf("attempt %zu   %s on %s%s\n", i + 1, attempt.upstream->name.c_str(),
                    attempt.tier.c_str(), effort.c_str());
    }
    for (const std::string& skipped : route.skipped)
        std::printf("skipped     %s\n", skipped.c_str());
    for (const auto& [name, value] : config.classifier->features(chat))
        std::printf("feature     %s = %.4g\n", name.c_str(), value);
}

// The options as the headers of a request, so that they are read as the gateway reads them.
HttpRequest headers_of(const ExplainOptions& options) {
    HttpRequest http;
    auto add = [&http](std::string_view name, std::string_view value) {
        if (!value.empty()) http.headers.emplace_back(lower_case(name), value);
    };
    add("x-sluice-tags", options.tags);
    add("x-sluice-data-class", options.data_class);
    add("x-sluice-session-id", options.session);
    for (std::string_view rest = options.headers; !rest.empty();) {  // "k=v,k=v"
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view pair = rest.substr(0, comma);
        const std::size_t equals = std::min(pair.find('='), pair.size());
        add(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return http;
}

// `strength`: of the tier that it goes to.
Money expected_cost(const RouteInput& input, std::span<const UpstreamView> views,
                    const Route& route, double strength) {
    const ChatRequest& chat = input.request;
    const Difficulty& difficulty = input.difficulty;
    Usage usage;
    usage.in_uncached = input.input_tokens;
    for (const UpstreamView& view : views)
        if (view.upstream == route.attempts.front().upstream)
            usage.in_uncached = prompt_tokens(input, view);
    usage.out_text = static_cast<std::int64_t>(output_tokens(difficulty, strength));
    if (chat.max_tokens) usage.out_text = std::min(usage.out_text, *chat.max_tokens);
    if (route.max_tokens) usage.out_text = std::min(usage.out_text, *route.max_tokens);
    return cost_of(usage, route.attempts.front().upstream->price);
}

// What a gateway with this ledger would know besides: what is spent, how far thresholds have moved.
struct Standing {
    Budgets budgets;
    DayPace pace;
    BudgetAccounts accounts;
};

Status add_standing(const Config& config, Standing& standing, RouteInput& input) {
    const std::string& url = config.ledger.url;
    auto opened = standing.budgets.open(
        config.budgets, input.unix_seconds,
        [&](std::int64_t since, std::int64_t until) { return read_spent(url, since, until); });
    if (!opened) return opened.error();
    standing.accounts = std::move(*opened);
    BudgetView view{config.budgets, standing.accounts};
    BudgetLook look = view.look(input.caller, input.unix_seconds);
    input.budget_pressure = look.pressure;
    input.budget_left = look.left;
    if (look.tightest != nullptr) input.budget = look.tightest->words;
    Status paced = standing.pace.follow(config.policy, url, input.unix_seconds);
    if (!paced) return paced;
    input.shift = standing.pace.shift();
    return Done{};
}

// What the running gateway has learned, or what the file says that it has.
Result<LearnerModel> learned_of(const ExplainOptions& options, const Config& config) {
    std::string path = options.learned;
    if (path.empty() && config.learning) {
        std::error_code none;
        if (std::filesystem::exists(config.learning->state_file, none))
            path = config.learning->state_file;
    }
    if (path.empty()) return LearnerModel();
    return read_champion(path, config.classifier->version());
}

// As the key's own caller, where there is that key, but for what is said besides.
Caller caller_of(const ExplainOptions& options, const Config& config) {
    Caller caller;
    for (const VirtualKey& one : config.keys.all())
        if (one.id == options.key) caller = one.caller;
    if (!options.key.empty() && caller.key_id.empty())
        std::fprintf(stderr, "note: no key has the id '%s'\n", options.key.c_str());
    caller.key_id = options.key;
    for (auto [said, place] :
         {std::pair(&options.org, &caller.org), std::pair(&options.team, &caller.team),
          std::pair(&options.user, &caller.user)})
        if (!said->empty()) *place = *said;
    return caller;
}

int explain(const ExplainOptions& options) {
    auto config = load_config(options.config, today_utc());
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().message.c_str());
        return 1;
    }
    if (std::string note = classifier_note(**config); !note.empty())
        std::fprintf(stderr, "%s\n", note.c_str());
    std::string body((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    auto chat = find_dialect("openai_chat")->read_request(body);
    if (!chat) {
        std::fprintf(stderr, "the request: %s\n", chat.error().message.c_str());
        return 1;
    }
    const Caller caller = caller_of(options, **config);
    auto read = read_labels(headers_of(options), (*config)->policy);
    if (!read) {
        std::fprintf(stderr, "%s\n", read.error().message.c_str());
        return 2;
    }
    const Labels& labels = *read;
    auto learned = learned_of(options, **config);
    if (!learned) {
        std::fprintf(stderr, "%s\n", learned.error().message.c_str());
        return 1;
    }
    OnlineFeatures kept;
    Difficulty difficulty =
        classify_learned(*(*config)->classifier, learned->weights.get(), *chat, labels, kept);
    std::vector<UpstreamView> views;
    for (const Upstream& upstream : (*config)->upstreams)
        views.push_back({&upstream, true, {}, 0, 0});
    RouteInput input{caller, labels, *chat, difficulty, estimate_input_tokens(*chat)};
    input.unix_seconds = std::time(nullptr);
    if ((*config)->engine) count_unopened(*(*config)->engine, (*config)->policy, input, views);
    if (!options.session_at.empty())
        input.session = {upstream_mark(options.session_at), options.session_cached};
    auto draws = Draws::read(Draws::path_beside((*config)->ledger.url));
    if (draws && !labels.session_id.empty())
        input.chance = draws->of(caller, labels.session_id).canary;
    Standing standing;
    Status known = add_standing(**config, standing, input);
    if (!known) {
        std::fprintf(stderr, "%s\n", known.error().message.c_str());
        return 1;
    }
    auto route = choose_route((*config)->policy, input, views);
    Trial trial;
    trial.candidate = (*config)->candidate.get();
    if (trial.candidate != nullptr)
        trial.route = choose_route(trial.candidate->policy, input, views);
    if (!route) {
        std::fprintf(stderr, "refused: %s\n", route.error().message.c_str());
        std::string said = "{\"refused\":";
        append_json_string(said, route.error().message);
        if (options.json) std::printf("%s}\n", said.c_str());
        return 1;
    }
    const Policy& policy = (*config)->policy;
    const auto tier = policy.tier(route->attempts.front().tier) - policy.tiers.data();
    const double strength = policy.scoring.tiers[static_cast<std::size_t>(tier)].strength;
    Money expected = expected_cost(input, views, *route, strength);
    if (options.json)
        print_json(**config, *route, difficulty, expected, trial, *learned);
    else
        print_text(**config, *route, *chat, difficulty, expected);
    if (!options.json && learned->version > 0)
        std::printf("learned     version %llu from %.0f labels\n",
                    static_cast<unsigned long long>(learned->version), learned->labels);
    if (!options.json && trial.candidate != nullptr)
        std::printf("candidate   %s (%s): %s\n", trial.candidate->policy.version.c_str(),
                    trial.candidate->what().c_str(),
                    trial.route ? (trial.route->tier + ", " + trial.route->reason).c_str()
                                : trial.route.error().message.c_str());
    return 0;
}

}  // namespace

void add_explain(Command& app, int& status) {
    Command command =
        app.add_subcommand("explain", "Say where one request (JSON on stdin) would go, and why");
    auto options = std::make_shared<ExplainOptions>();
    command.add_option("--config", options->config, "configuration file").required();
    command.add_option("--team", options->team, "as if called by this team");
    command.add_option("--key", options->key, "as if called with this key id, by its org and team");
    command.add_option("--tags", options->tags, "as x-sluice-tags: k=v,...");
    command.add_option("--org", options->org, "as if called by this org");
    command.add_option("--user", options->user, "as if called by this user");
    command.add_option("--data-class", options->data_class, "as x-sluice-data-class");
    command.add_option("--headers", options->headers, "headers that the policy matches: k=v,...");
    command.add_option("--session", options->session, "as x-sluice-session-id");
    command.add_option("--session-at", options->session_at,
                       "as if this upstream had answered the session last");
    command
        .add_option("--session-cached", options->session_cached,
                    "so many prompt tokens of it are still in that upstream's cache")
        .in_range(std::int64_t{0}, std::int64_t{10'000'000});
    command.add_option("--learned", options->learned,
                       "what a gateway has learned; default: the configuration's learning.state");
    command.add_flag("--json", options->json, "one JSON object on stdout");
    command.footer("Example:\n  sluice explain --config deploy/quickstart.yaml < request.json");
    command.callback([options, &status] { status = explain(*options); });
}

}  // namespace sluice
