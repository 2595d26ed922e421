// A learner's state as bytes: a readable head, then numbers.
//   sluice-learning 1
//   classifier: 1-0123abcd
//   champion: version 3 from 1200 labels; challenger: 1850 labels
//   payload: 107000 bytes, sha256 <64 hex>
//   (an empty line, then the payload, little-endian)
// Payload: three models (champion, before, challenger), each u64 version, f64 labels, u64 weights
// of a side (0 or learned_count), f32 those of both sides; u64 versions, promotions, rollbacks;
// two trials (trial, guard), each f64 sums[3], u64 teams, of each its name (u64 bytes, letters) and
// f64 sums[3]; i64 day; twice (keys, teams) u64 count, of each its name and i64 labels.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "policies/learner.h"
#include "policies/sha256.h"

namespace sluice {
namespace {

constexpr std::string_view magic = "sluice-learning 1\n";
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
    void model(std::uint64_t version, double labels, const OnlineWeights* weights) {
        number(version);
        number(labels);
        bool some = weights != nullptr && !weights->of[0].empty();
        number(std::uint64_t{some ? learned_count : 0});
        if (!some) return;
        for (const std::vector<float>& side : weights->of)
            for (float one : side) number(one);
    }
    void trial(const Trial& trial) {
        sums(trial.all);
        number(std::uint64_t{trial.teams.size()});
        for (const Trial::Team& team : trial.teams) {
            text(team.name);
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
    OnlineWeights model(LearnerModel& out) {
        out.version = number<std::uint64_t>();
        out.labels = number<double>();
        good = good && out.labels >= 0 && out.labels <= labels_most;
        auto size = number<std::uint64_t>();
        good = good && (size == 0 || size == learned_count);
        OnlineWeights weights;
        if (!good || size == 0) return weights;
        for (std::vector<float>& side : weights.of) {
            side.resize(learned_count);
            for (float& one : side) {
                one = number<float>();
                good = good && std::abs(static_cast<double>(one)) <= weight_max;
            }
        }
        return weights;
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

void put_counts(Out& out, const std::unordered_map<std::string, std::int64_t>& counts) {
    out.number(std::uint64_t{counts.size()});
    for (const auto& [name, labels] : counts) {
        out.text(std::string_view(name).substr(0, name_bytes_max));
        out.number(labels);
    }
}

void take_counts(In& in, std::unordered_map<std::string, std::int64_t>& counts) {
    auto size = in.count(names_max);
    for (std::uint64_t i = 0; i < size && in.good; ++i) {
        std::string name = in.text();
        counts[name] = in.number<std::int64_t>();
    }
}

std::shared_ptr<const OnlineWeights> shared(OnlineWeights weights) {
    if (weights.of[0].empty()) return nullptr;
    return std::make_shared<const OnlineWeights>(std::move(weights));
}

}  // namespace

std::string Learner::write(const std::string& classifier) const {
    Out out;
    out.model(champion_.version, champion_.labels, champion_.weights.get());
    out.model(before_.version, before_.labels, before_.weights.get());
    out.model(0, labels_, &challenger_.weights());
    for (std::uint64_t count : {versions_, promotions_, rollbacks_}) out.number(count);
    out.trial(trial_);
    out.trial(guard_);
    out.number(day_);
    put_counts(out, of_key_);
    put_counts(out, of_team_);
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
    if (!bytes.starts_with(magic)) return fault("it does not begin with 'sluice-learning 1'");
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
    out.champion_.weights = shared(in.model(out.champion_));
    out.before_.weights = shared(in.model(out.before_));
    LearnerModel challenger;
    out.challenger_ = OnlineFit(in.model(challenger));
    out.labels_ = challenger.labels;
    for (std::uint64_t* count : {&out.versions_, &out.promotions_, &out.rollbacks_})
        *count = in.number<std::uint64_t>();
    in.trial(out.trial_);
    in.trial(out.guard_);
    out.day_ = in.number<std::int64_t>();
    take_counts(in, out.of_key_);
    take_counts(in, out.of_team_);
    if (!in.good || !in.done()) return fault("its payload is not laid out as this program does");
    return out;
}

}  // namespace sluice
