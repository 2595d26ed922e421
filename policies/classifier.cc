// The classifier. What is read of a request: the last user turn that has something of its own (its
// first 768 and last 256 bytes when it is longer: more of it ranks no better), and, the shorter
// that turn is, the more of the user turns before it (first 256 and last 768 bytes). A bare "yes,
// go on" behind it is passed over: the request is as hard as what it goes on with. System prompts,
// answers and tool results are not read. Nothing is allocated.
#include "policies/classifier.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "policies/bare_turn.h"
#include "policies/blend.h"
#include "policies/correction.h"
#include "policies/count_heads.h"
#include "policies/features.h"
#include "policies/linear_fit.h"
#include "policies/text_window.h"
#include "policies/weights.h"
#include "policies/word_rows.h"

namespace sluice {
namespace {

constexpr std::size_t rest_head_bytes = 256, rest_tail_bytes = 768;
static_assert(rest_head_bytes + rest_tail_bytes <= FeatureReader::part_max);
constexpr std::uint32_t words_alone = 8;  // a turn of so many words is read on its own
constexpr std::size_t file_bytes_max = 1 << 20;

const unsigned char builtin_bytes[] = {
#include "embedded/router_weights.inc"
};

template <class Each>
void each_text(std::span<const Message> messages, bool users_only, Each each) {
    for (const Message& message : messages) {
        if (users_only && message.role != Role::user) continue;
        for (const Part& part : message.parts)
            if (part.kind == Part::Kind::text && !part.text.empty()) each(part.text);
    }
}

// The features of these messages' user turns.
void read_messages(std::span<const Message> messages, bool users_only, std::size_t head,
                   std::size_t tail, TextFeatures& out) {
    std::size_t total = 0;
    each_text(messages, users_only, [&](const std::string& text) { total += text.size(); });
    FeatureReader reader(out);
    TextWindow window(reader, total, head, tail);
    each_text(messages, users_only, [&](const std::string& text) { window.feed(text); });
    reader.finish();
}

// The last user turn up to `place`, one itself, that is not bare; `place` where all are.
std::size_t turn_of_its_own(std::span<const Message> messages, std::size_t place) {
    bool others = false;  // most requests have one user turn: it is not looked into
    for (std::size_t i = 0; i < place && !others; ++i) others = messages[i].role == Role::user;
    if (!others) return place;
    for (std::size_t i = place + 1; i-- > 0;)
        if (messages[i].role == Role::user && !is_bare_turn(messages[i])) return i;
    return place;
}

HeadScores::Odds between(HeadScores::Odds last, HeadScores::Odds before, double own) {
    if (!last.known || !before.known) return last.known ? last : before;
    return {true, own * last.local + (1 - own) * before.local,
            own * last.frontier + (1 - own) * before.frontier, std::min(last.trust, before.trust)};
}

class LinearClassifier final : public Classifier {
public:
    explicit LinearClassifier(Weights weights)
        : rows_(weights.hashed), counts_(weights), weights_(laid_out(std::move(weights))) {}

    using Classifier::classify;
    Difficulty classify(const ChatRequest& request, OnlineFeatures* kept) const override {
        TextFeatures features;
        Difficulty difficulty = blend(score_request(request, features), weights_.calibration);
        if (kept == nullptr) return difficulty;
        std::array<float, structural_count> counts;
        for (std::size_t i = 0; i < structural_count; ++i)
            counts[i] = standardised(weights_, i, features.structural[i]);
        keep_structural(counts, *kept);
        keep_words(features.hashed(), *kept);
        keep_prior(difficulty, *kept);
        return difficulty;
    }

    std::vector<std::pair<std::string, double>> features(
        const ChatRequest& request) const override {
        TextFeatures features;
        HeadScores scores = score_request(request, features);
        std::vector<std::pair<std::string, double>> out;
        for (std::size_t h = 0; h < head_count; ++h) {
            bool probability = is_probability(static_cast<Head>(h));
            out.emplace_back(head_names[h], probability ? sigmoid(scores.of[h]) : scores.of[h]);
        }
        out.emplace_back("familiar", known_share(features));
        out.emplace_back("words", features.words);
        for (std::size_t i = 0; i < structural_count; ++i) {
            std::string name(structural_names()[i]);  // of a group of words a head may have it
            if (std::count(std::begin(head_names), std::end(head_names), name) != 0)
                name += "_words";
            out.emplace_back(std::move(name), static_cast<double>(features.structural[i]));
        }
        return out;
    }

    std::string version() const override {
        return std::string(weights_version) + "-" + weights_.payload_sha256.substr(0, 8);
    }

    bool trained_on(std::string_view sha256) const override {
        return std::any_of(weights_.data.begin(), weights_.data.end(),
                           [&](const TrainingFile& file) { return file.sha256 == sha256; });
    }

private:
    // Fills `features` with those of the last user turn that has something of its own.
    HeadScores score_request(const ChatRequest& request, TextFeatures& features) const {
        std::span<const Message> all(request.messages);
        auto last = std::find_if(all.rbegin(), all.rend(),
                                 [](const Message& message) { return message.role == Role::user; });
        if (last == all.rend()) {
            read_messages(all, false, last_head_bytes, last_tail_bytes, features);
            return score(features);
        }
        auto place = static_cast<std::size_t>(all.rend() - last) - 1;
        place = turn_of_its_own(all, place);
        read_messages(all.subspan(place, 1), true, last_head_bytes, last_tail_bytes, features);
        HeadScores scores = score(features);
        if (features.words >= words_alone || place == 0) return scores;
        TextFeatures rest;
        read_messages(all.first(place), true, rest_head_bytes, rest_tail_bytes, rest);
        if (rest.words == 0) return scores;
        HeadScores before = score(rest);
        double own = static_cast<double>(features.words) / words_alone;
        for (std::size_t h = 0; h < head_count; ++h)
            scores.of[h] = own * scores.of[h] + (1 - own) * before.of[h];
        scores.options = std::max(scores.options, before.options);
        scores.familiar = scores.familiar && before.familiar;
        scores.log_bytes = std::max(scores.log_bytes, before.log_bytes);
        scores.closed = between(scores.closed, before.closed, own);
        scores.open = between(scores.open, before.open, own);
        return scores;
    }

    double known_share(const TextFeatures& features) const {
        return sluice::known_share({features.sample.data(), features.sampled}, weights_.known);
    }

    // Kept out of line: its loops are unrolled, and it is asked in three places.
    [[gnu::noinline]] HeadScores score(const TextFeatures& features) const {
        WordRows::Sums words = rows_.sum(features.hashed());
        TreeInputs inputs;
        Weights::Lanes sums = counts_.sum(features.structural, inputs);
        float each = 1 / std::sqrt(std::max(1.0F, static_cast<float>(features.buckets_used)));
        HeadScores scores;
        scores.options = features.options;
        scores.log_bytes = static_cast<double>(features.structural[log_bytes_at]);
        scores.familiar = known_share(features) >= familiar_share;
        for (std::size_t h = 0; h < head_count; ++h)
            scores.of[h] = static_cast<double>(sums[h] + static_cast<float>(words[h]) *
                                                             weights_.step[h] * each);
        for (std::size_t k = 0; k < topic_count; ++k)
            inputs[structural_count + k] =
                static_cast<float>(words[head_lanes + k]) * weights_.step[head_lanes + k] * each;
        ask_forests(weights_.forests, inputs, scores);
        return scores;
    }

    static Weights laid_out(Weights weights) {
        weights.hashed = {};  // they are in `rows_`: not kept twice
        for (KindForests& kind : weights.forests) {
            kind.local.pack();
            kind.frontier.pack();
        }
        return weights;
    }

    const WordRows rows_;
    const CountHeads counts_;
    const Weights weights_;  // but the rows of hashed words
};

class ReasoningOnly final : public Classifier {
public:
    using Classifier::classify;
    Difficulty classify(const ChatRequest& request, OnlineFeatures* kept) const override {
        Difficulty out;
        out.needs_reasoning = builtin()->classify(request, kept).needs_reasoning;
        out.score = out.needs_reasoning;
        out.gain = out.score / 2;  // ranks only
        out.ok_frontier = 1 - out.score + out.gain;
        out.familiar = false;
        if (kept != nullptr) keep_prior(out, *kept);
        return out;
    }
    std::vector<std::pair<std::string, double>> features(
        const ChatRequest& request) const override {
        return {{"reasoning", builtin()->classify(request).needs_reasoning}};
    }
    std::string version() const override { return "reasoning-only"; }
    bool trained_on(std::string_view) const override { return false; }
};

}  // namespace

std::shared_ptr<const Classifier> Classifier::reasoning_only() {
    static const auto one = std::make_shared<const ReasoningOnly>();
    return one;
}

std::shared_ptr<const Classifier> make_classifier(Weights weights) {
    return std::make_shared<LinearClassifier>(std::move(weights));
}

Result<std::shared_ptr<const Classifier>> Classifier::load(const std::string& path) {
    std::error_code unknown;  // a pipe would be waited for
    if (std::filesystem::exists(path, unknown) && !std::filesystem::is_regular_file(path, unknown))
        return Error(Errc::bad_file, path + ": is no file");
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) return Error(Errc::bad_file, path + ": cannot be opened");
    std::string bytes(std::min(static_cast<std::size_t>(in.tellg()), file_bytes_max + 1), '\0');
    in.seekg(0);
    if (!in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
        return Error(Errc::bad_file, path + ": cannot be read");
    auto weights = read_weights(bytes, path);
    if (!weights) return weights.error();
    return make_classifier(std::move(*weights));
}

std::shared_ptr<const Classifier> Classifier::builtin() {
    static const std::shared_ptr<const Classifier> shipped = [] {
        std::string_view bytes(reinterpret_cast<const char*>(builtin_bytes), sizeof builtin_bytes);
        auto weights = read_weights(bytes, "policies/weights/router.weights");
        assert(weights);  // the suite loads the same file
        return make_classifier(std::move(*weights));
    }();
    return shipped;
}

}  // namespace sluice
