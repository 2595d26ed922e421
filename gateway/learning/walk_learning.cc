#include "gateway/learning/walk_learning.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "engine/log.h"
#include "gateway/learning/learning.h"
#include "policies/correction.h"

namespace sluice {
namespace {

struct Hash {
    std::uint64_t value = 0xCBF29CE484222325;  // FNV-1a
    void add(std::string_view text) {
        for (char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3;
        value = (value ^ 0xFF) * 0x100000001B3;
    }
};

// Words stand for a text, but not its numbers: of two invoices each is a question of its own.
void add_numbers(Hash& hash, const ChatRequest& chat) {
    auto last = std::find_if(chat.messages.rbegin(), chat.messages.rend(),
                             [](const Message& one) { return one.role == Role::user; });
    if (last == chat.messages.rend()) return;
    std::string digits;
    for (const Part& part : last->parts) {
        for (char c : part.text) {
            bool digit = c >= '0' && c <= '9';
            if (digit || (!digits.empty() && digits.back() != ' ')) digits += digit ? c : ' ';
        }
        digits += ' ';
    }
    hash.add(digits);
}

// The same conversation asking the same: by its words and numbers, which are not kept.
std::uint64_t question_mark(const Walk& walk) {
    const OnlineFeatures& features = walk.answer->features;
    Hash hash;
    hash.add(walk.caller.key_id);
    hash.add(walk.labels.session_id);
    hash.add({reinterpret_cast<const char*>(features.structural.data()), structural_count});
    hash.add({reinterpret_cast<const char*>(features.words.data()),
              features.word_count * sizeof features.words[0]});
    add_numbers(hash, walk.chat);
    return hash.value;
}

net::awaitable<void> keep_outcome(Ledger& ledger, Outcome row) {
    std::string request_id = row.request_id;
    auto kept = co_await ledger.append(std::move(row));
    if (!kept)
        log_error("ledger_behind", {{"request_id", request_id}, {"message", kept.error().message}});
}

void note(Gateway& gateway, Seat& seat, const Caller& caller, std::string_view request_id,
          OutcomeKind kind, double ok) {
    OutcomeNoted noted = gateway.learning->note(caller, request_id, kind, ok);
    if (noted.what != OutcomeNoted::What::noted) return;
    net::co_spawn(seat.executor, keep_outcome(gateway.ledger, std::move(noted.row)), net::detached);
}

}  // namespace

double strength_of(const Policy& policy, std::string_view name) {
    const PolicyTier* tier = policy.tier(name);
    if (tier == nullptr || policy.tiers.size() < 2) return 0;
    auto at = static_cast<std::size_t>(tier - policy.tiers.data());
    if (policy.scoring.by_value) return policy.scoring.tiers[at].strength;
    return static_cast<double>(at) / static_cast<double>(policy.tiers.size() - 1);
}

void classify_request(const Gateway& gateway, Walk& walk) {
    const Classifier& classifier = *walk.snapshot->config->classifier;
    if (gateway.learning == nullptr) {
        walk.difficulty = classifier.classify(walk.chat);
        return;
    }
    walk.answer = std::make_unique<Answered>();
    auto champion = gateway.learning->champion();
    walk.difficulty =
        classify_learned(classifier, champion.get(), walk.chat, walk.labels, walk.answer->features);
}

void answer_in_shadow(Gateway& gateway, Seat& seat, const Walk& walk, const std::string& text) {
    if (gateway.learning != nullptr) gateway.learning->shadow.start(gateway, seat, walk, text);
}

KeptAnswer kept_for(const Gateway& gateway, const Walk& walk) {
    if (gateway.learning == nullptr || walk.answer == nullptr) return {};
    bool json = walk.chat.wants_json_schema();
    return {json || Shadow::wanted(walk), json || !walk.chat.tools.empty()};
}

void remember_answer(Gateway& gateway, Seat& seat, Walk& walk, const Delta& last,
                     const KeptAnswer& kept) {
    if (gateway.learning == nullptr || walk.answer == nullptr) return;
    if (walk.data_stays()) return;  // its words, hashed or not, go nowhere
    Answered& answer = *walk.answer;
    const Tried& answering = walk.tried.back();
    const std::string& id = walk.http.request_id;
    answer.mark = answer_mark(walk.caller, id);
    answer.at_unix_ms = answering.started_unix_ms;
    answer.request_id = id;
    answer.tier = answering.tier;
    answer.strength = static_cast<float>(strength_of(*walk.policy, answering.tier));
    bool as_chosen = answering.tier == walk.route.tier;  // a fallback was nobody's choice
    answer.propensity = as_chosen ? static_cast<float>(walk.route.record.propensity) : 1.0F;
    if (as_chosen && !walk.route.instead.empty())
        answer.instead = static_cast<float>(strength_of(*walk.policy, walk.route.instead));
    std::uint64_t question = question_mark(walk);
    std::string before = gateway.learning->asked_before(question, answer);
    gateway.learning->remember(answer);
    if (!before.empty()) note(gateway, seat, walk.caller, before, OutcomeKind::regenerated, 0);

    bool thought_only =
        last.finish == Finish::length && !kept.answered() && last.usage.out_reasoning > 0;
    if (thought_only) note(gateway, seat, walk.caller, id, OutcomeKind::cut_thought, 0);
    ShownByItself shown = shown_by_itself(walk.chat, kept);
    if (shown.schema)
        note(gateway, seat, walk.caller, id, OutcomeKind::schema, *shown.schema ? 1 : 0);
    if (shown.calls)
        note(gateway, seat, walk.caller, id, OutcomeKind::tool_call, *shown.calls ? 1 : 0);
    if (shown.schema_too_long)
        gateway.learning->count(OutcomeKind::schema, Learning::Became::too_long);
    if (shown.calls_too_long)
        gateway.learning->count(OutcomeKind::tool_call, Learning::Became::too_long);
}

}  // namespace sluice
