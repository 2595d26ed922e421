// A learner's state as bytes: a readable head, then numbers.
//   sluice-learning 2
//   classifier: 1-0123abcd
//   champion: version 3 from 1200 labels; challenger: 1850 labels
//   payload: 107000 bytes, sha256 <64 hex>
//   (an empty line, then the payload, little-endian)
// Payload: three models (champion, before, base), each u64 version, f64 labels, u64 fits (0: the
// shipped prior) and then a mix; the challenger's f64 labels and mix; u64 versions, promotions,
// rollbacks; two trials (trial, guard), each f64 sums[3], u64 teams, of each its name (u64 bytes,
// letters) and f64 sums[3]; i64 day, i64 labels of late; four times (keys and teams of the day,
// keys and teams of late) u64 count, of each its name and i64 labels. A mix: f64 evidence of each
// way, of each fit u64 weights of a side (0 or learned_count) and f32 those of both sides.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "policies/learner.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

constexpr std::string_view magic = "sluice-learning 2\n";
constexpr std::size_t state_bytes_max = 16U << 20;
constexpr std::size_t names_max = 20'000;
constexpr std::size_t name_bytes_max = 1'024;
constexpr double labels_most = 1e15;  // so many are a whole number still

class Out {
public:
    template <class Number>
    void number(Number value) {
        static_assert(std::is_arithmetic_v<Number>);
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void text(std::string_view text) {
        number(std::uint64_t{text.size()});
        bytes += text;
    }
    void sums(const RunningBound& bound) {
        auto sums = bound.sums();
        number(sums.count);
        number(sums.sum);
        number(sums.squares);
    }
    void mix(const OnlineMix::State& state) {
        for (double evidence : state.evidence) number(evidence);
        for (const OnlineWeights& fit : state.of) {
            bool some = !fit.of[0].empty();
            number(std::uint64_t{some ? learned_count : 0});
            if (!some) continue;
            for (const std::vector<float>& side : fit.of)
                for (float one : side) number(one);
        }
    }
    void model(const LearnerModel& model) {
        number(model.version);
        number(model.labels);
        number(std::uint64_t{model.learned_of ? OnlineMix::fits : 0});
        if (model.learned_of) mix(*model.learned_of);
    }
    void trial(const Trial& trial) {
        sums(trial.all);
        number(std::uint64_t{trial.teams.size()});
        for (const Trial::Team& team : trial.teams) {
            text(std::string_view(team.name).substr(0, name_bytes_max));
            sums(team.bound);
        }
    }
    std::string bytes;
};

// Reads on; `good` is false from the first thing that does not fit.
class In {
public:
    explicit In(std::string_view bytes) : bytes_(bytes) {}
    bool good = true;
    bool done() const { return bytes_.empty(); }

    template <class Number>
    Number number() {
        Number value{};
        good = good && bytes_.size() >= sizeof value;
        if (!good) return value;
        std::memcpy(&value, bytes_.data(), sizeof value);
        bytes_.remove_prefix(sizeof value);
        if constexpr (std::is_floating_point_v<Number>) good = good && std::isfinite(value);
        return good ? value : Number{};
    }
    std::string text() {
        auto size = number<std::uint64_t>();
        good = good && size <= std::min(name_bytes_max, bytes_.size());
        if (!good) return "";
        std::string out(bytes_.substr(0, size));
        bytes_.remove_prefix(size);
        return out;
    }
    std::uint64_t count(std::uint64_t most) {
        auto value = number<std::uint64_t>();
        good = good && value <= most;
        return good ? value : 0;
    }
    void sums(RunningBound& bound) {
        RunningBound::Sums sums;
        sums.count = number<double>();
        sums.sum = number<double>();
        sums.squares = number<double>();
        good = good && sums.count >= 0 && sums.squares >= 0;
        bound.restore(sums);
    }
    double labels() {
        auto value = number<double>();
        good = good && value >= 0 && value <= labels_most;
        return value;
    }
    OnlineMix::State mix() {
        OnlineMix::State out;
        for (double& evidence : out.evidence) {
            evidence = number<double>();
            good = good && evidence <= 0 && evidence >= evidence_least;
        }
        for (OnlineWeights& fit : out.of) {
            auto size = number<std::uint64_t>();
            good = good && (size == 0 || size == learned_count);
            if (!good || size == 0) continue;
            for (std::vector<float>& side : fit.of) {
                side.resize(learned_count);
                for (float& one : side) {
                    one = number<float>();
                    good = good && std::abs(static_cast<double>(one)) <= weight_max;
                }
            }
        }
        return out;
    }
    void model(LearnerModel& out) {
        out.version = number<std::uint64_t>();
        out.labels = labels();
        auto fits = number<std::uint64_t>();
        good = good && (fits == 0 || fits == OnlineMix::fits);
        if (!good || fits == 0) return;
        auto learned_of = std::make_shared<const OnlineMix::State>(mix());
        if (good) out.weights = std::make_shared<const OnlineWeights>(weights_of(*learned_of));
        out.learned_of = std::move(learned_of);
    }
    void trial(Trial& trial) {
        sums(trial.all);
        auto teams = count(Trial::teams_max);
        for (std::uint64_t i = 0; i < teams && good; ++i) {
            trial.teams.emplace_back().name = text();
            sums(trial.teams.back().bound);
        }
    }

private:
    std::string_view bytes_;
};

std::string digest_line(std::string_view payload) {
    return "payload: " + std::to_string(payload.size()) + " bytes, sha256 " + sha256_hex(payload) +
           "\n\n";
}

void put_counts(Out& out, const LabelAllowance::Counts& counts) {
    out.number(std::uint64_t{counts.size()});
    for (const auto& [name, labels] : counts) {
        out.text(std::string_view(name).substr(0, name_bytes_max));
        out.number(labels);
    }
}

void take_counts(In& in, LabelAllowance::Counts& counts) {
    auto size = in.count(names_max);
    for (std::uint64_t i = 0; i < size && in.good; ++i) {
        std::string name = in.text();
        counts[name] = in.number<std::int64_t>();
    }
}

}  // namespace

std::string Learner::write(const std::string& classifier) const {
    Out out;
    for (const LearnerModel* model : {&champion_, &before_, &base_}) out.model(*model);
    out.number(labels_);
    out.mix(challenger_.state());
    for (std::uint64_t count : {versions_, promotions_, rollbacks_}) out.number(count);
    out.trial(trial_);
    out.trial(guard_);
    const LabelAllowance::State& allowed = allowance_.state();
    out.number(allowed.day);
    out.number(allowed.of_late);
    for (const auto* counts :
         {&allowed.of_key, &allowed.of_team, &allowed.of_key_of_late, &allowed.of_team_of_late})
        put_counts(out, *counts);
    auto whole = [](double labels) { return std::to_string(static_cast<std::int64_t>(labels)); };
    return std::string(magic) + "classifier: " + classifier + "\nchampion: version " +
           std::to_string(champion_.version) + " from " + whole(champion_.labels) +
           " labels; challenger: " + whole(labels_) + " labels\n" + digest_line(out.bytes) +
           out.bytes;
}

Result<Learner> Learner::read(std::string_view bytes, const std::string& classifier,
                              const std::string& file) {
    auto fault = [&](const std::string& what) {
        return Error(Errc::bad_file, file + ": not usable as what was learned: " + what);
    };
    if (bytes.size() > state_bytes_max) return fault("it has more than 16 MiB");
    if (!bytes.starts_with(magic)) return fault("it does not begin with 'sluice-learning 2'");
    std::size_t end = bytes.find("\n\n");
    if (end == std::string_view::npos) return fault("its head has no end");
    std::string_view head = bytes.substr(0, end + 1), payload = bytes.substr(end + 2);
    if (head.find("\nclassifier: " + classifier + "\n") == std::string_view::npos)
        return fault("it corrects another classifier than this one, " + classifier);
    std::string promised = digest_line(payload);
    promised.pop_back();
    if (!head.ends_with(promised))
        return fault("it is truncated or damaged: its payload is not what its head says");
    In in(payload);
    Learner out;
    for (LearnerModel* model : {&out.champion_, &out.before_, &out.base_}) in.model(*model);
    out.labels_ = in.labels();
    out.challenger_ = OnlineMix(in.mix());
    for (std::uint64_t* count : {&out.versions_, &out.promotions_, &out.rollbacks_})
        *count = in.number<std::uint64_t>();
    in.trial(out.trial_);
    in.trial(out.guard_);
    LabelAllowance::State allowed;
    allowed.day = in.number<std::int64_t>();
    allowed.of_late = in.number<std::int64_t>();
    for (auto* counts :
         {&allowed.of_key, &allowed.of_team, &allowed.of_key_of_late, &allowed.of_team_of_late})
        take_counts(in, *counts);
    out.allowance_.restore(std::move(allowed));
    if (!in.good || !in.done()) return fault("its payload is not laid out as this program does");
    return out;
}

}  // namespace sluice
