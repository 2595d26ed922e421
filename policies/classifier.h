// Text -> difficulty: structural and lexical features into a small linear model. Pure and
// immutable: any thread. Weights are one flat file made by `sluice train-router`; the shipped one
// is built into the binary from policies/weights/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "providers/chat.h"

namespace sluice {

// What kind of text a request is. Options and the heads decide; calibration is by domain.
enum class Domain : std::uint8_t { choice, exam, problem, code, maths, factual, writing, other };
constexpr std::size_t domain_count = 8;
std::string_view domain_name(Domain domain);

struct OnlineFeatures;

struct Difficulty {
    double score = 0.5;  // 1 - P(a local answer is right): what policies' bands read
    double gain = 0.0;   // expected benefit of leaving the local tier: requests are ranked by it
    double expected_output_tokens = 0.0;           // of a local answer
    double expected_output_tokens_frontier = 0.0;  // of the frontier's
    double ok_frontier = 0.5;                      // P(the frontier's answer is right)
    double needs_reasoning = 0.5;                  // P(asks for maths, code, logic or science)
    Domain domain = Domain::other;
    bool familiar = true;  // enough of its words were met in training to trust the rest
};

class Classifier {
public:
    // Errors: bad_file naming what is wrong (missing, truncated, another version, bad digest).
    static Result<std::shared_ptr<const Classifier>> load(const std::string& path);
    static std::shared_ptr<const Classifier> builtin();
    // What is left to serve with when weights that were asked for cannot be used: the score is the
    // need of reasoning by the built-in ones, nothing is said of outcomes.
    static std::shared_ptr<const Classifier> reasoning_only();
    virtual ~Classifier() = default;

    Difficulty classify(const ChatRequest& request) const { return classify(request, nullptr); }
    // Likewise; `kept`, where it is given, becomes what is needed to learn from the outcome.
    virtual Difficulty classify(const ChatRequest& request, OnlineFeatures* kept) const = 0;
    // Named features as the model saw them, for explain and classify; never on the hot path.
    virtual std::vector<std::pair<std::string, double>> features(
        const ChatRequest& request) const = 0;
    virtual std::string version() const = 0;  // short, from the weights' header
    // Whether a data file with this SHA-256 was trained on: figures on it flatter.
    virtual bool trained_on(std::string_view sha256) const = 0;
};

struct Weights;
// From weights that were read or just trained.
std::shared_ptr<const Classifier> make_classifier(Weights weights);

}  // namespace sluice
