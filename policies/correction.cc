#include "policies/correction.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr std::size_t app_bytes_max = 512;  // of a system prompt: it tells one app from another

struct Hash {
    std::uint64_t value = 0xCBF29CE484222325;  // FNV-1a
    void add(std::string_view text) {
        for (char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3;
        value = (value ^ 0xFF) * 0x100000001B3;
    }
};

constexpr double sure = 0.002;  // odds are kept this far from never and always

float log_odds(double p) {
    double kept = std::clamp(p, sure, 1 - sure);
    return static_cast<float>(std::log(kept / (1 - kept)));
}

}  // namespace

void keep_prior(const Difficulty& difficulty, OnlineFeatures& kept) {
    kept.prior = {log_odds(1 - difficulty.score), log_odds(difficulty.ok_frontier)};
}

void correct(Difficulty& difficulty, const OnlineWeights* weights, const OnlineFeatures& kept) {
    if (weights == nullptr) return;
    double local = weights->p_ok(Side::local, kept);
    double frontier = weights->p_ok(Side::frontier, kept);
    double local_moved = local - (1 - difficulty.score);
    double frontier_moved = frontier - difficulty.ok_frontier;
    difficulty.score = 1 - local;
    difficulty.ok_frontier = frontier;
    difficulty.gain += frontier_moved - local_moved;
}

void correct_anew(Difficulty& difficulty, const OnlineWeights* weights,
                  const OnlineFeatures& kept) {
    const OnlineWeights prior;
    correct(difficulty, &prior, kept);
    correct(difficulty, weights, kept);
}

std::uint16_t app_of(const Labels& labels, const ChatRequest& chat) {
    Hash hash;
    auto tag = labels.tags.find("app");
    if (tag != labels.tags.end()) {
        hash.add(tag->second);
    } else if (!chat.messages.empty() && chat.messages[0].role != Role::user) {
        for (const Part& part : chat.messages[0].parts)
            hash.add(std::string_view(part.text).substr(0, app_bytes_max));
    }
    return static_cast<std::uint16_t>((hash.value ^ hash.value >> 32) % learned_apps);
}

Difficulty classify_learned(const Classifier& classifier, const OnlineWeights* weights,
                            const ChatRequest& chat, const Labels& labels, OnlineFeatures& kept) {
    Difficulty difficulty = classifier.classify(chat, &kept);
    kept.app = app_of(labels, chat);
    correct(difficulty, weights, kept);
    return difficulty;
}

}  // namespace sluice
