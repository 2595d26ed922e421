#include "gateway/learning/learning.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include "engine/log.h"
#include "policies/classifier.h"
#include "policies/linear_fit.h"

namespace sluice {
namespace {

constexpr std::string_view kind_names[] = {"thumb",     "score",       "label",       "schema",
                                           "tool_call", "regenerated", "cut_thought", "shadow"};
constexpr std::int64_t day_ms = 86'400'000;
constexpr std::int64_t again_ms = 120'000;

std::int64_t unix_ms() {
    auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

bool teaches(OutcomeKind kind) {
    return kind != OutcomeKind::regenerated && kind != OutcomeKind::cut_thought;
}

// That an answer has the form that was asked for is seen of most wrong ones, too.
constexpr double form_when_wrong = 0.9;

bool by_itself(OutcomeKind kind) {
    return kind == OutcomeKind::schema || kind == OutcomeKind::tool_call;
}

// P(right) of a tier, by the prior.
double p_prior(const OnlineFeatures& features, double strength) {
    const double local = sigmoid(static_cast<double>(features.prior[0]));
    return local + strength * (sigmoid(static_cast<double>(features.prior[1])) - local);
}

// Of an answer without the form: wrong. Of one with it as likely right as that makes it (Bayes).
double ok_by_form(const Answered& answer, double fits) {
    const double p = p_prior(answer.features, static_cast<double>(answer.strength));
    return fits * p / (p + (1 - p) * form_when_wrong);
}

OutcomeLabel label_of(const Caller& caller, const Answered& answer, double ok) {
    OutcomeLabel label;
    label.other = static_cast<double>(answer.instead);
    label.features = answer.features;
    label.propensity = static_cast<double>(answer.propensity);
    label.strength = static_cast<double>(answer.strength);
    (answer.strength < 0.5F ? label.local : label.frontier) = ok;
    label.team = caller.org + "/" + caller.team;
    label.key_id = caller.key_id;
    label.day = unix_ms() / day_ms;
    return label;
}

}  // namespace

void Learning::count(OutcomeKind kind, Became became) {
    auto& of_kind = outcomes_[static_cast<std::size_t>(kind)];
    of_kind[static_cast<std::size_t>(became)].fetch_add(1, std::memory_order_relaxed);
}

std::string_view outcome_kind_name(OutcomeKind kind) {
    return kind_names[static_cast<std::size_t>(kind)];
}

Learning::Learning(const LearningSection& section, std::string classifier)
    : section_(section),
      classifier_(std::move(classifier)),
      stands_in_(classifier_ == Classifier::reasoning_only()->version()),
      recent_(static_cast<std::size_t>(section.remember)),
      asked_(std::make_unique<std::array<Asked, asked_places>>()) {}

// Where a file that is not used is kept: what an earlier one held is not replaced.
Status Learning::put_aside() const {
    std::string to = section_.state_file + ".refused";
    std::error_code failed;
    for (int more = 2; std::filesystem::exists(to, failed); ++more)
        to = section_.state_file + ".refused." + std::to_string(more);
    std::filesystem::rename(section_.state_file, to, failed);
    if (!failed) return Done{};
    return Error(Errc::bad_file,
                 section_.state_file + ": cannot be put aside as " + to + ": " + failed.message());
}

Result<std::unique_ptr<Learning>> Learning::open(const LearningSection& section,
                                                 const std::string& classifier,
                                                 const LearningPolicy& policy) {
    std::unique_ptr<Learning> out(new Learning(section, classifier));
    if (out->stands_in_) {
        out->refused_ = section.state_file + ": left alone until the classifier's weights are read";
        log_error("learning_waits", {{"message", out->refused_}});
        out->set_policy(policy);
        return out;
    }
    auto lock = StateLock::take(section.state_file);
    if (!lock) return lock.error();
    out->lock_ = std::move(*lock);
    auto bytes = read_state_file(section.state_file);
    if (!bytes) return bytes.error();
    std::error_code unknown;
    if (!bytes->empty() || std::filesystem::exists(section.state_file, unknown)) {
        auto learner = Learner::read(*bytes, classifier, section.state_file);
        if (learner) {
            out->learner_ = std::move(*learner);
        } else {
            out->refused_ = learner.error().message;
            log_error("learning_refused", {{"message", out->refused_}});
            if (Status aside = out->put_aside(); !aside) return aside.error();
        }
    }
    out->set_policy(policy);
    out->publish();
    Status written = out->save();  // now rather than after a day of labels
    if (!written) return written.error();
    return out;
}

Learning::~Learning() { save_if_changed(); }

void Learning::publish() { decides_.store(learner_.champion().weights); }

void Learning::set_policy(const LearningPolicy& policy) {
    std::lock_guard lock(mutex_);
    learner_.set_options(policy.learner);
}

void Learning::remember(const Answered& answer) {
    if (answer.propensity < 0.5F) explored_.fetch_add(1, std::memory_order_relaxed);
    if (!recent_.remember(answer)) forgotten_.fetch_add(1, std::memory_order_relaxed);
}

std::string Learning::asked_before(std::uint64_t question, const Answered& now) {
    Asked& place = (*asked_)[question % asked_places];
    std::uint64_t before = place.question.exchange(question);
    std::uint64_t mark = place.mark.exchange(now.mark);
    std::int64_t at = place.at_unix_ms.exchange(now.at_unix_ms);
    bool again = before == question && mark != now.mark && now.at_unix_ms - at <= again_ms;
    return again ? recent_.request_of(mark) : "";
}

OutcomeNoted Learning::note(const Caller& caller, std::string_view request_id, OutcomeKind kind,
                            double ok) {
    OutcomeNoted out;
    // A person's word counts once, in whichever form it comes.
    auto bit =
        static_cast<std::uint32_t>(kind <= OutcomeKind::label ? 1 : 1U << static_cast<int>(kind));
    auto answer = recent_.note(answer_mark(caller, request_id), request_id, bit);
    if (!answer) return out;
    out.what = OutcomeNoted::What::already;
    if ((answer->known & bit) != 0) {
        count(kind, Became::already);
        return out;
    }
    out.what = OutcomeNoted::What::noted;
    OutcomeLabel label = label_of(caller, *answer, by_itself(kind) ? ok_by_form(*answer, ok) : ok);
    label.implicit = by_itself(kind);
    if (teaches(kind)) out.learned = learn(label, kind);
    if (!teaches(kind)) count(kind, Became::kept);
    out.row.at_unix_ms = unix_ms();
    out.row.request_id = answer->request_id;
    out.row.caller = caller;
    out.row.tier = answer->tier;
    out.row.kind = outcome_kind_name(kind);
    out.row.score = ok;
    out.row.propensity = static_cast<double>(answer->propensity);
    out.row.learned = teaches(kind) && taught(out.learned);
    return out;
}

OutcomeNoted Learning::note_past(const Caller& caller, const std::string& request_id,
                                 OutcomeKind kind, double ok, const PastAnswer& answer) {
    OutcomeNoted out;
    out.forgotten = true;
    out.what = answer.rated ? OutcomeNoted::What::already : OutcomeNoted::What::noted;
    count(kind, answer.rated ? Became::already : Became::kept);
    out.row.at_unix_ms = unix_ms();
    out.row.request_id = request_id;
    out.row.caller = caller;
    out.row.tier = answer.tier;
    out.row.kind = outcome_kind_name(kind);
    out.row.score = ok;
    out.row.propensity = answer.propensity;
    return out;
}

Outcome Learning::learn_pair(const Caller& caller, const OnlineFeatures& features,
                             const ShadowPair& pair) {
    OutcomeLabel label;
    label.features = features;
    label.team = caller.org + "/" + caller.team;
    label.key_id = caller.key_id;
    label.judged = true;
    label.day = unix_ms() / day_ms;
    label.local = pair.answered_ok;
    label.frontier = pair.next_ok;
    if (pair.tie)
        label.local = label.frontier =
            (p_prior(features, pair.answered_strength) + p_prior(features, pair.next_strength)) / 2;
    label.strength = pair.answered_strength;
    label.other = pair.next_strength;
    const Learned learned = learn(label, OutcomeKind::shadow);
    Outcome row;
    row.at_unix_ms = unix_ms();
    row.caller = caller;
    row.kind = outcome_kind_name(OutcomeKind::shadow);
    row.score = pair.tie ? 0.5 : pair.answered_ok;
    row.learned = taught(learned);
    return row;
}

Learned Learning::learn(const OutcomeLabel& label, OutcomeKind kind) {
    std::lock_guard lock(mutex_);
    Learned learned = learner_.learn(label);
    if (!taught(learned)) {
        ++over_allowance_;
        count(kind, Became::over_allowance);
        return learned;
    }
    ++noted_[static_cast<std::size_t>(kind)];
    count(kind, Became::learned);
    changed_ = true;
    publish();
    if (learned == Learned::yes) return learned;
    log_info(learned == Learned::promoted ? "router_promoted" : "router_rolled_back",
             {{"version", learner_.champion().version},
              {"labels", static_cast<std::int64_t>(learner_.champion().labels)}});
    return learned;
}

bool Learning::roll_back(bool shipped) {
    std::lock_guard lock(mutex_);
    if (!learner_.roll_back(shipped)) return false;
    publish();
    changed_ = true;
    log_info("router_rolled_back", {{"version", learner_.champion().version}, {"why", "asked"}});
    return true;
}

std::string Learning::export_state() const {
    std::lock_guard lock(mutex_);
    return learner_.write(classifier_);
}

Status Learning::import_state(std::string_view bytes) {
    auto next = Learner::read(bytes, classifier_, "the body");
    if (!next) return next.error();
    std::lock_guard lock(mutex_);
    learner_ = next->imported_over(learner_);
    publish();
    changed_ = true;
    log_info("router_imported", {{"version", learner_.champion().version}});
    return Done{};
}

void Learning::save_if_changed() {
    std::unique_lock lock(mutex_);
    if (!changed_) return;
    lock.unlock();
    Status saved = save();
    lock.lock();
    bool news = !saved && save_fault_.empty();
    save_fault_ = saved ? "" : saved.error().message;
    lock.unlock();
    if (news) log_error("learning_not_saved", {{"message", saved.error().message}});
}

Status Learning::save() {
    if (stands_in_) return Done{};
    std::string bytes;
    {
        std::lock_guard lock(mutex_);
        bytes = learner_.write(classifier_);
        changed_ = false;
        saving_ = true;
    }
    Status written = write_state_file(section_.state_file, bytes);
    std::lock_guard lock(mutex_);
    saving_ = false;
    if (written)
        ++saves_;
    else
        changed_ = true;
    return written;
}

}  // namespace sluice
