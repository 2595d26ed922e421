// Estimates for a request that moves: its input tokens are billed uncached; its output tokens are
// the recorded ones times how much more or less the new tier writes than the old one, both measured
// against the classifier's expectation over the whole record; its seconds are the new tier's mean
// wait for the first token and mean time a further token, over the record; p(ok) is the
// classifier's for both tiers. So the requests are kept in a compact form until all have been seen.
#include "policies/replay.h"

#include <algorithm>
#include <cmath>

#include "policies/correction.h"
#include "policies/replay_figures.h"
#include "policies/value.h"

namespace sluice {
namespace {

constexpr std::uint8_t nowhere = 255;  // refused, or a tier that the policy does not have

std::uint32_t hash_of(std::string_view text) {
    std::uint64_t hash = 0xCBF29CE484222325;
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
    return static_cast<std::uint32_t>((hash ^ (hash >> 29)) % replay_buckets);
}

// What a move is worked out from at the end.
struct Moved {
    std::uint8_t from, to;
    std::uint16_t bucket;
    std::uint32_t team, rule;
    const Upstream* upstream;
    Usage usage;
    Money cost;
    float seconds;
    bool same_upstream;  // only its tier has another name
};

// Of a tier's requests, those of a team that are refused.
struct Refused {
    std::int64_t requests = 0;
    PicoSum change = 0;
};

}  // namespace

struct Replay::State {
    State(const Policy& policy_in, const std::vector<Upstream>& upstreams_in,
          const std::vector<Upstream>& unpriced_in, ReplayScoring scoring_in)
        : policy(policy_in), scoring(scoring_in), priced(upstreams_in.size()) {
        for (const Upstream& one : upstreams_in) views.push_back({&one, true, {}, 0, 0});
        for (const Upstream& one : unpriced_in) views.push_back({&one, true, {}, 0, 0});
        tiers.resize(policy.tiers.size());
        habits.resize(policy.tiers.size());
        for (const PolicyTier& tier : policy.tiers)
            for (const std::string& name : tier.upstreams)
                if (std::none_of(views.begin(), views.end(), [&](const UpstreamView& one) {
                        return one.upstream->name == name;
                    }))
                    left_out += (left_out.empty() ? "" : ", ") + name;
    }

    bool has_price(const Upstream* upstream) const {
        return std::any_of(views.begin(), views.begin() + static_cast<std::ptrdiff_t>(priced),
                           [&](const UpstreamView& one) { return one.upstream == upstream; });
    }

    PicoSum cost_there(const Upstream& upstream, const Usage& usage, Money as_it_was) {
        if (has_price(&upstream)) return cost_of(usage, upstream.price).pico_usd;
        ++unpriced;
        return as_it_was.pico_usd;
    }

    std::uint8_t tier_index(std::string_view name) const {
        const PolicyTier* tier = policy.tier(name);
        return tier == nullptr ? nowhere : static_cast<std::uint8_t>(tier - policy.tiers.data());
    }

    // A request as it was, but for its text: its turns, and what it needs of an upstream.
    void rebuild_request(const RecordedRequest& one) {
        auto turns = static_cast<std::size_t>(std::clamp<std::int64_t>(record.turns, 1, 10'000));
        request.messages.resize(turns);
        auto& parts = request.messages[0].parts;
        parts.clear();
        if (record.images) parts.emplace_back().kind = Part::Kind::image;
        if (record.audio) parts.emplace_back().kind = Part::Kind::audio;
        if (record.files) parts.emplace_back().kind = Part::Kind::file;
        request.tools.resize(record.tools ? 1 : 0);
        request.response_format = record.json_schema ? "json_schema" : "";
        request.max_tokens = record.max_tokens;
        request.model = one.model_asked;
    }

    void read_decision(const RecordedRequest& one) {
        if (!one.decision.empty() && read_record(one.decision, record, labels, &features)) {
            if (record.labels_cut) ++labels_cut;
            if (record.ok_frontier < 0) ++first_version;
            return;
        }
        ++without_record;
        record = DecisionRecord();
        features.classifier = 0;
        labels = Labels();
        record.input_tokens = one.usage.input();
    }

    Difficulty difficulty_of(const RecordedRequest& one) {
        Difficulty difficulty;
        difficulty.score = one.difficulty;
        difficulty.gain = static_cast<double>(record.gain);
        difficulty.ok_frontier = record.ok_frontier >= 0
                                     ? static_cast<double>(record.ok_frontier)
                                     : std::clamp(1 - difficulty.score + difficulty.gain, 0.0, 1.0);
        difficulty.needs_reasoning = static_cast<double>(record.needs_reasoning);
        difficulty.domain = record.domain;
        difficulty.expected_output_tokens = static_cast<double>(record.expected_output_tokens);
        difficulty.expected_output_tokens_frontier =
            static_cast<double>(record.expected_output_tokens_frontier);
        if (scoring.classifier == 0) return difficulty;
        if (features.classifier == scoring.classifier) {
            ++rescored;
            correct_anew(difficulty, scoring.learned, features.of);
        } else {
            ++(features.classifier == 0 ? featureless : other_classifier);
        }
        return difficulty;
    }

    // What its own decision was made with; else what the pace would have come to by then.
    double shift_of(const RecordedRequest& one) {
        if (!policy.pace.active()) return 0;
        if (one.policy_version == policy.version) return record.shift;
        ++paced;
        return pace.shift;
    }

    // Steps through the recorded minutes, at the new policy's prices and the recorded tokens.
    void keep_pace(const RecordedRequest& one, const Result<Route>& route) {
        if (!policy.pace.active()) return;
        std::int64_t minute = one.started_unix_ms / 60'000;
        if (minute != pace_minute) {
            step(pace, policy.pace, minute * 60, pace_seen);
            pace_seen = {};
            pace_minute = minute;
        }
        if (!route) return;
        const Attempt& first = route->attempts[0];
        bool stays = first.upstream->name == one.upstream || !has_price(first.upstream);
        Money cost = stays ? one.cost : cost_of(one.usage, first.upstream->price);
        ++pace_seen.requests;
        pace_seen.units += pace_units(policy, first.tier, cost);
    }

    std::uint32_t team_index(const std::string& team) {
        auto [found, fresh] = team_of.try_emplace(team, static_cast<std::uint32_t>(teams.size()));
        if (fresh) teams.push_back(std::make_unique<Tally>());
        return found->second;
    }

    std::uint32_t rule_index(const std::string& rule) {
        auto [found, fresh] = rule_of.try_emplace(rule, static_cast<std::uint32_t>(rules.size()));
        if (fresh) rules.push_back(rule);
        return found->second;
    }

    void tally(std::uint8_t from, std::uint8_t to, std::uint32_t team, std::size_t bucket,
               PicoSum was, PicoSum is) {
        auto old_side = [&](Tally& one) {
            ++one.recorded_requests;
            one.recorded += was;
            one.change[bucket] -= was;
        };
        auto new_side = [&](Tally& one) {
            if (to != nowhere) ++one.new_requests;
            one.would += is;
            one.change[bucket] += is;
        };
        for (Tally* one : {&total, teams[team].get()}) {
            old_side(*one);
            new_side(*one);
        }
        old_side(from == nowhere ? elsewhere : tiers[from]);
        if (to != nowhere) new_side(tiers[to]);
    }

    const Policy& policy;
    const ReplayScoring scoring;
    std::vector<UpstreamView> views;
    std::size_t priced;  // of views, the first
    std::string left_out;
    std::int64_t unpriced = 0;
    ChatRequest request;
    DecisionRecord record;
    RecordedFeatures features;
    Labels labels;
    std::vector<TierHabits> habits;
    std::vector<Moved> moved;
    Tally total, elsewhere;
    std::vector<Tally> tiers;
    std::map<std::string, std::uint32_t, std::less<>> team_of;
    std::vector<std::unique_ptr<Tally>> teams;
    std::map<std::string, std::uint32_t, std::less<>> rule_of;  // as team_of
    std::vector<std::string> rules;
    std::map<std::string, std::map<std::string, Refused>> refusals;  // by tier and team
    double recorded_s = 0, new_s = 0, recorded_ok = 0, new_ok = 0;
    std::int64_t requests = 0, unanswered = 0, refused = 0, rated = 0;
    std::int64_t without_record = 0, labels_cut = 0, pii_unknown = 0, language_unknown = 0;
    std::int64_t unknown_tier = 0, first_version = 0;
    std::int64_t rescored = 0, featureless = 0, other_classifier = 0;
    PaceState pace;
    PaceSeen pace_seen;
    std::int64_t pace_minute = -1, paced = 0;
};

Replay::Replay(const Policy& policy, const std::vector<Upstream>& upstreams,
               const std::vector<Upstream>& unpriced, ReplayScoring scoring)
    : state_(std::make_unique<State>(policy, upstreams, unpriced, scoring)) {}
Replay::~Replay() = default;

void Replay::add(const RecordedRequest& one) {
    State& s = *state_;
    if (!one.answered) {
        ++s.unanswered;
        return;
    }
    ++s.requests;
    s.read_decision(one);
    s.rebuild_request(one);
    Difficulty difficulty = s.difficulty_of(one);
    RouteInput ask{*one.caller, s.labels, s.request, difficulty, s.record.input_tokens, false};
    ask.unix_seconds = one.started_unix_ms / 1'000;
    ask.chance = s.record.chance;
    ask.budget_pressure = s.record.budget_pressure;
    if (s.record.budget_left) ask.budget_left = *s.record.budget_left;
    ask.budget = "its caller";
    ask.session = {s.record.session_upstream, s.record.session_prefix_tokens};
    ask.recorded = &s.record.seen;
    ask.shift = s.shift_of(one);
    auto route = choose_route(s.policy, ask, s.views);
    s.keep_pace(one, route);

    std::uint8_t from = s.tier_index(one.tier);
    std::uint8_t to = route ? s.tier_index(route->attempts[0].tier) : nowhere;
    std::uint32_t team = s.team_index(one.caller->team);
    std::size_t bucket = hash_of(one.cluster);
    double took = static_cast<double>(one.duration_us) * 1e-6;
    s.recorded_s += took;
    if (from == nowhere) ++s.unknown_tier;
    if (from != nowhere) s.habits[from].see(one, s.record.expected_output_tokens);
    if (route) {
        const Seen& asked = route->record.seen;
        if ((asked.pii_asked & ~s.record.seen.pii_asked) != 0) ++s.pii_unknown;
        if (asked.language && !s.record.seen.language) ++s.language_unknown;
    }
    auto ok = [&](std::uint8_t tier) {
        return tier == nowhere ? 0.0 : p_ok(difficulty, s.policy.scoring.tiers[tier].strength);
    };
    if (from != nowhere) {
        ++s.rated;
        s.recorded_ok += ok(from);
        s.new_ok += ok(to);  // 0 where it is refused
    }
    if (!route) {
        ++s.refused;
        Refused& of_team = s.refusals[std::string(one.tier)][one.caller->team];
        ++of_team.requests;
        of_team.change -= one.cost.pico_usd;
        s.tally(from, nowhere, team, bucket, one.cost.pico_usd, 0);
        return;
    }
    const Upstream* upstream = route->attempts[0].upstream;
    const bool same = upstream->name == one.upstream;
    // By the policy that decided it, another upstream of the tier was a fallback.
    if (from == to && (same || one.policy_version == s.policy.version)) {
        s.new_s += took;
        s.tally(from, to, team, bucket, one.cost.pico_usd, one.cost.pico_usd);
        return;
    }
    s.moved.push_back({from, to, static_cast<std::uint16_t>(bucket), team,
                       s.rule_index(route->rule), upstream, one.usage, one.cost,
                       static_cast<float>(took), same});
}

ReplayReport Replay::finish() {
    State& s = *state_;
    ReplayReport report;
    std::map<std::pair<std::uint8_t, std::uint8_t>, MoveSum> moves;
    std::vector<std::string> teams(s.teams.size());
    for (const auto& [team, index] : s.team_of) teams[index] = team;
    std::int64_t untimed = 0, unscaled = 0;
    for (const Moved& one : s.moved) {
        Usage usage;
        usage.in_uncached = one.usage.input();
        double from = one.from == nowhere ? 0 : s.habits[one.from].ratio();
        double to = s.habits[one.to].ratio();
        const bool new_tier = one.from != one.to && !one.same_upstream;
        bool scaled = new_tier && from > 0 && to > 0;
        unscaled += scaled || !new_tier ? 0 : 1;
        double output = static_cast<double>(one.usage.output()) * (scaled ? to / from : 1);
        usage.out_text = std::llround(output);
        PicoSum would =
            one.same_upstream ? one.cost.pico_usd : s.cost_there(*one.upstream, usage, one.cost);
        double seconds = new_tier ? s.habits[one.to].seconds(usage.out_text) : 0;
        untimed += seconds > 0 || !new_tier ? 0 : 1;
        s.new_s += seconds > 0 ? seconds : static_cast<double>(one.seconds);
        s.tally(one.from, one.to, one.team, one.bucket, one.cost.pico_usd, would);
        moves[{one.from, one.to}].add(one.team, one.rule, would - one.cost.pico_usd);
    }
    auto name_of = [&s](std::uint8_t tier) {
        return tier == nowhere ? std::string("(another)") : s.policy.tiers[tier].name;
    };
    for (auto& [way, sum] : moves) {
        ReplayMove& move = report.moves.emplace_back(std::move(sum.move));
        move.from = name_of(way.first);
        move.to = name_of(way.second);
        if (way.first == way.second)
            move.to += " (another upstream)";
        else
            report.moved += move.requests;
        for (auto& [who, mover] : sum.by)
            move.movers.push_back(
                {teams[who.first], s.rules[who.second], mover.requests, mover.change});
    }
    for (const auto& [tier, by_team] : s.refusals) {
        ReplayMove& move = report.moves.emplace_back();
        move.from = tier;
        for (const auto& [team, refused] : by_team) {
            move.movers.push_back({team, "", refused.requests, refused.change});
            move.requests += refused.requests;
            move.change += refused.change;
        }
    }
    for (ReplayMove& move : report.moves) order_movers(move);
    std::sort(report.moves.begin(), report.moves.end(),
              [](const ReplayMove& a, const ReplayMove& b) { return a.requests > b.requests; });
    report.requests = s.requests;
    report.rescored = s.rescored;
    report.unanswered = s.unanswered;
    report.refused = s.refused;
    report.total = line_of("total", s.total);
    for (std::size_t i = 0; i < s.tiers.size(); ++i)
        report.tiers.push_back(line_of(s.policy.tiers[i].name, s.tiers[i]));
    if (s.elsewhere.recorded_requests > 0)
        report.tiers.push_back(line_of("(another)", s.elsewhere));
    for (const auto& [team, index] : s.team_of)
        report.teams.push_back(line_of(team, *s.teams[index]));
    auto mean = [](double sum, std::int64_t of) {
        return of > 0 ? sum / static_cast<double>(of) : 0;
    };
    report.recorded_seconds = mean(s.recorded_s, s.requests);
    report.new_seconds = mean(s.new_s, s.requests - s.refused);
    report.recorded_ok = mean(s.recorded_ok, s.rated);
    report.new_ok = mean(s.new_ok, s.rated);
    auto note = [&report](std::int64_t count, const char* said) {
        if (count > 0) report.notes.push_back(std::to_string(count) + " requests " + said);
    };
    note(s.without_record,
         "have no decision record (written by an older version): their input tokens are as billed, "
         "their gain is 0, and rules that ask for tags, data class, headers, tools, images, turns "
         "or personal data did not match them");
    note(s.first_version,
         "were recorded before the classifier told the frontier's odds, kinds of text and the need "
         "of reasoning: 1 - difficulty + gain, 'other' and 0.5 were used");
    note(s.paced,
         "were made under another pace: thresholds were moved as this policy's would have moved "
         "them over the recorded minutes");
    note(s.featureless,
         "have no features on record (the gateway did not learn, their data was confined or "
         "restricted, or an older version wrote them): their difficulty is the recorded one");
    note(s.other_classifier,
         "were scored by another classifier: their difficulty is the recorded one");
    note(s.labels_cut, "had more tags than a record holds: some of them are missing");
    note(s.pii_unknown,
         "were not looked through for personal data when they were made: taken to have none");
    note(s.language_unknown, "have no recorded language: rules that ask for one did not match");
    note(s.unknown_tier, "went to a tier that the new policy does not have: shown as (another)");
    note(s.refused,
         "are refused: what they cost counts as saved, they are not right, and take no time");
    note(unscaled,
         "move to or from a tier with too few answers on record: the length of their answers is "
         "taken as it was");
    note(untimed, "move to a tier with too few answers on record: their seconds are as they were");
    note(s.unpriced, "move to a tier of unknown price: what they cost is taken as it was");
    if (!s.left_out.empty())
        report.notes.push_back("without a known price, and so left out: " + s.left_out);
    return report;
}

}  // namespace sluice
