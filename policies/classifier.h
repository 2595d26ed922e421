// Text -> difficulty: structural and lexical features into a small linear model. Pure and
// immutable: any thread. Weights are one flat file made by `sluice train-router`; the shipped one
// is built into the binary from policies/weights/.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/result.h"
#include "providers/chat.h"

namespace sluice {

struct Difficulty {
    double score = 0.5;  // calibrated, 0 easy .. 1 hard: what policies' bands read
    double gain = 0.0;   // expected benefit of leaving the local tier: requests are ranked by it
    double expected_output_tokens = 0.0;
};

class Classifier {
public:
    // Errors: bad_file naming what is wrong (missing, truncated, another version, bad digest).
    static Result<std::shared_ptr<const Classifier>> load(const std::string& path);
    static std::shared_ptr<const Classifier> builtin();
    virtual ~Classifier() = default;

    virtual Difficulty classify(const ChatRequest& request) const = 0;
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
