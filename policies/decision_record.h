// What the ledger keeps of a decision, so that another policy can be tried on it later: figures and
// labels, never a prompt's text. A short run of bytes with its version in front.
//
// Version 2: byte 2; flags; u16 chance x 65535; f32 gain, ok_frontier and needs_reasoning; the
// domain; pii asked, pii found; then varints: frontier's expected output tokens, input tokens,
// expected output tokens, max_tokens + 1 (0 = none), turns, budget pressure x 1000, the session's
// upstream mark and prefix tokens; language (its length and letters); then the labels, each a name
// and a value with their lengths: "" the data class, "t:NAME" a tag, "h:NAME" a header, "s" the
// pace's shift x 10,000, "b" what the caller's budgets had left in pico-dollars, "p" the propensity
// of the tier in millionths where another was tried for a share, "c:VERSION" the tier and upstream
// of a candidate policy, with a line end between. It has a fixed place of record_bytes_max bytes,
// so that a ledger row costs no allocation for it: labels that do not fit are left out and a flag
// says so.
//
// Version 3 has, before the labels, what the request may be scored anew by: u32 mark of the
// classifier; f32 log-odds of a right answer, local and frontier; u16 app; a byte for each
// structural feature; the number of hashed words and 12 bits of each, in ascending order. Hashes
// only, whose order is not the text's.
//
// Version 1 is read, too: it has neither ok_frontier, needs_reasoning, the domain nor the
// frontier's tokens.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policies/classifier.h"
#include "policies/match.h"
#include "policies/online_fit.h"
#include "providers/caller.h"

namespace sluice {

constexpr std::size_t features_bytes_max =
    4 + 8 + 2 + structural_count + 1 + (words_kept_max * 12 + 7) / 8;
constexpr std::size_t record_bytes_max = 240 + features_bytes_max;

struct DecisionRecord {
    // Of the request, as the decision saw it.
    bool tools = false, images = false, audio = false, files = false, json_schema = false;
    bool labels_cut = false;  // some did not fit
    float gain = 0;
    float ok_frontier = -1;  // not on record
    float needs_reasoning = 0.5F;
    Domain domain = Domain::other;
    std::int64_t expected_output_tokens_frontier = 0;
    double chance = 1;
    double propensity = 1;  // that this tier was chosen; below 1 where another was tried, too
    std::int64_t input_tokens = 0;
    std::int64_t expected_output_tokens = 0;
    std::optional<std::int64_t> max_tokens;
    std::int64_t turns = 1;
    double budget_pressure = 0;
    std::uint32_t session_upstream = 0;
    std::int64_t session_prefix_tokens = 0;
    Seen seen;                         // what was worked out of its text
    double shift = 0;                  // of the thresholds, for the day's pace
    std::optional<Money> budget_left;  // where the caller's budgets kept it from an upstream
    // What a candidate policy in the shadow chose: its version, a tier or "refused", an upstream.
    std::string beside_version, beside_tier, beside_upstream;
};

struct RecordBytes {
    std::array<char, record_bytes_max> bytes;  // the first `size` are set
    std::uint16_t size = 0;                    // 0: none is kept
    std::string_view view() const { return {bytes.data(), size}; }
};

// Of a classifier's version.
std::uint32_t classifier_mark(std::string_view version);

// What a request may be scored anew by, with what was learned since.
struct RecordedFeatures {
    std::uint32_t classifier = 0;  // classifier_mark; 0: none are on record
    OnlineFeatures of;
};

// `features`: null where none are to be kept.
RecordBytes write_record(const DecisionRecord& record, const Labels& labels,
                         const OnlineFeatures* features = nullptr, std::uint32_t classifier = 0);
// False where the bytes are no record of a version that is known here; then nothing is to be used.
bool read_record(std::string_view bytes, DecisionRecord& record, Labels& labels,
                 RecordedFeatures* features = nullptr);

}  // namespace sluice
