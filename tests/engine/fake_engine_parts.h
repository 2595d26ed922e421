// A device and a tokenizer simple enough to predict: the device "computes" logits from a hash of
// every token the sequence has, read back through its KV pages, so a page that was lost, shared or
// overwritten changes the outcome. It also checks what the scheduler promises a device.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <semaphore>
#include <set>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/text/tokenizer.h"

namespace sluice {

// Ids 0..255 are single bytes, then the end token, a control token, and the given words.
class FakeTokenizer final : public Tokenizer {
public:
    static constexpr TokenId end = 256;
    static constexpr TokenId control = 257;
    static constexpr TokenId first_word = 258;

    explicit FakeTokenizer(std::vector<std::string> words = {"the ", "é", "好", "\xF0\x9F\x91\x8D"})
        : words_(std::move(words)) {
        for (int byte = 0; byte < 256; ++byte) bytes_[byte] = static_cast<char>(byte);
    }
    std::vector<TokenId> encode(std::string_view text, bool, bool) const override {
        std::vector<TokenId> out;
        for (char c : text) out.push_back(static_cast<unsigned char>(c));
        return out;
    }
    std::string_view bytes_of(TokenId token, bool render_special) const override {
        if (token < end) return {bytes_ + token, 1};
        if (token < first_word) return render_special ? "<special>" : "";
        return words_[static_cast<std::size_t>(token - first_word)];
    }
    int vocab_size() const override { return first_word + static_cast<int>(words_.size()); }
    bool is_special(TokenId token) const override { return token == end || token == control; }
    bool is_end(TokenId token) const override { return token == end; }
    TokenId find(std::string_view) const override { return -1; }
    TokenId bos() const override { return -1; }
    TokenId eos() const override { return end; }

private:
    char bytes_[256];
    std::vector<std::string> words_;
};

// Logits of the fake model after `tokens`. About one token in `end_every` is the end token.
inline std::vector<float> fake_logits(std::span<const TokenId> tokens, int vocab, int end_every) {
    std::uint64_t hash = 1469598103934665603ULL;
    for (TokenId token : tokens)
        hash = (hash ^ static_cast<std::uint64_t>(token)) * 1099511628211ULL;
    std::vector<float> logits(static_cast<std::size_t>(vocab), -8.0F);
    for (int i = 0; i < 6; ++i) {
        hash = hash * 6364136223846793005ULL + 1442695040888963407ULL;
        auto token = static_cast<std::size_t>((hash >> 33) % static_cast<std::uint64_t>(vocab));
        logits[token] = static_cast<float>(hash >> 40 & 1023) / 256;
    }
    bool ends = end_every > 0 && (hash >> 20) % static_cast<std::uint64_t>(end_every) == 0;
    logits[FakeTokenizer::end] = ends ? 12.0F : -8.0F;
    return logits;
}

struct FakeDeviceOptions {
    std::int64_t pages = 64;
    int page_tokens = 4;
    int sequences_max = 8;
    int prefill_tokens_max = 16;
    int vocab = 262;
    int end_every = 40;
    int fail_at_step = -1;        // that step and all later ones fail
    int steps_max = 1;            // begun at once
    std::int64_t swap_pages = 0;  // places in its swap room
    double step_seconds = 0.001;  // as it says
    bool rests = true;
    // Changes the logits after `tokens`; runs on the engine thread.
    std::function<void(std::span<const TokenId> tokens, std::vector<float>& logits)> script;
    // When set, every step waits for one release (at most 10 s).
    std::shared_ptr<std::counting_semaphore<>> gate;
};

class FakeDevice final : public Device {
public:
    explicit FakeDevice(FakeDeviceOptions options)
        : options_(std::move(options)),
          cells_(static_cast<std::size_t>(options_.pages) *
                     static_cast<std::size_t>(options_.page_tokens),
                 -1),
          room_(static_cast<std::size_t>(options_.swap_pages)) {
        info_.page_tokens = options_.page_tokens;
        info_.pages = options_.pages;
        info_.swap_pages = options_.swap_pages;
        info_.steps_max = options_.steps_max;
        info_.rests = options_.rests;
    }
    const DeviceInfo& info() const override { return info_; }

    Status begin(std::span<const StepSequence> step) override {
        if (std::ssize(begun_) >= options_.steps_max) fault("too many steps at once");
        ahead += !begun_.empty();
        moves_.emplace_back(std::exchange(asked_moves_, {}));
        std::vector<OwnedPart>& owned = begun_.emplace_back();
        std::set<int> slots;
        std::set<std::int32_t> written;
        std::size_t prefill = 0;
        for (const StepSequence& part : step) {
            owned.emplace_back(part);
            const Sampling& s = *part.sampling;
            if (part.tokens[0] == chosen_token &&
                (begun_.size() < 2 || part.tokens.size() != 1 || s.repetition_penalty != 1.0F ||
                 s.presence_penalty != 0.0F || s.frequency_penalty != 0.0F))
                fault("a token that the device does not know");
            slots.insert(part.slot);
            if (part.slot < 0 || part.slot >= options_.sequences_max) fault("slot out of range");
            if (part.tokens.size() > 1) prefill += part.tokens.size();
            if (part.tokens.empty()) fault("a sequence without tokens");
            const auto first = static_cast<std::size_t>(part.position / options_.page_tokens);
            for (std::size_t i = first; i < part.pages.size(); ++i)
                if (!written.insert(part.pages[i]).second) fault("a page with two writers");
        }
        for (const StepSequence& part : step)
            for (int i = 0; i < part.position / options_.page_tokens; ++i)
                if (written.contains(part.pages[static_cast<std::size_t>(i)]))
                    fault("a page that another sequence reads is written");
        if (step.empty()) fault("empty step");
        if (slots.size() != step.size()) fault("two sequences in one slot");
        if (prefill > static_cast<std::size_t>(options_.prefill_tokens_max))
            fault("too many prompt tokens");
        return Done{};
    }

    // Made when the step that is begun next is finished.
    Status move_pages(std::span<const PageMove> moves) override {
        if (moves.empty()) fault("no page is to move");
        asked_moves_.insert(asked_moves_.end(), moves.begin(), moves.end());
        for (const PageMove& one : moves) {
            if (one.page < 0 || one.page >= options_.pages || one.place < 0 ||
                one.place >= options_.swap_pages)
                fault("a page moves out of bounds");
            ++(one.to == PageMove::To::room ? swapped_out : swapped_in);
        }
        return Done{};
    }
    std::atomic<int> swapped_out = 0, swapped_in = 0;  // pages
    std::atomic<int> computed = 0;                     // tokens

    StepTime step_time() const override { return {options_.step_seconds, 0.0001}; }

    void rest() override {
        ++rests;
        if (!begun_.empty()) fault("rests with a step under way");
        std::fill(cells_.begin(), cells_.end(), -1);
    }
    std::atomic<int> rests = 0;
    std::atomic<int> ahead = 0;  // steps begun while another was under way

    Result<std::span<const Sampled>> finish() override {
        if (options_.gate && !options_.gate->try_acquire_for(std::chrono::seconds(60)))
            fault("the test did not open the gate");
        int step = steps_++;
        if (options_.fail_at_step >= 0 && step >= options_.fail_at_step)
            return Error(Errc::device_failed, "the fake device was told to fail");
        sampled_.clear();
        for (const PageMove& one : moves_.front()) move(one);
        moves_.pop_front();
        for (OwnedPart& part : begun_.front()) run(part);
        begun_.pop_front();
        return std::span<const Sampled>(sampled_);
    }

    int steps() const { return steps_; }
    std::vector<std::string> faults() const {
        std::lock_guard lock(mutex_);
        return faults_;
    }

private:
    // A step's part with all that it points to, as a device with a queue must have it.
    struct OwnedPart : StepSequence {
        explicit OwnedPart(const StepSequence& part)
            : StepSequence(part),
              own_tokens(part.tokens.begin(), part.tokens.end()),
              own_pages(part.pages.begin(), part.pages.end()),
              own_sampling(*part.sampling),
              own_history(part.history.begin(), part.history.end()) {}
        std::vector<TokenId> own_tokens;
        std::vector<std::int32_t> own_pages;
        Sampling own_sampling;
        std::vector<TokenId> own_history;
    };

    void fault(const std::string& what) {
        std::lock_guard lock(mutex_);
        if (faults_.size() < 10) faults_.push_back(what);
    }
    TokenId& cell(const StepSequence& part, int position) {
        auto index = static_cast<std::size_t>(position / options_.page_tokens);
        if (index >= part.pages.size()) {
            fault("no page for a position");
            return spare_;
        }
        return cells_[static_cast<std::size_t>(part.pages[index] * options_.page_tokens +
                                               position % options_.page_tokens)];
    }
    // What came back of a place is gone from it: nobody may have it twice.
    void move(const PageMove& one) {
        const auto cells = cells_.begin() + one.page * options_.page_tokens;
        std::vector<TokenId>& place = room_[static_cast<std::size_t>(one.place)];
        if (one.to == PageMove::To::room) {
            place.assign(cells, cells + options_.page_tokens);
        } else if (place.empty()) {
            fault("a page comes back from a place that holds none");
        } else {
            std::copy(place.begin(), place.end(), cells);
            place.clear();
        }
    }
    void run(OwnedPart& part) {
        computed += static_cast<int>(part.tokens.size());
        part.tokens = part.own_tokens;
        part.pages = part.own_pages;
        part.sampling = &part.own_sampling;
        part.history = part.own_history;
        int position = part.position;
        for (TokenId token : part.tokens)
            cell(part, position++) = token == chosen_token ? last_[part.slot] : token;
        if (!part.sample) return;
        std::vector<TokenId> seen;
        for (int i = 0; i < position; ++i) seen.push_back(cell(part, i));
        const bool unseen = part.tokens[0] == chosen_token;
        if (seen.size() != part.history.size() + unseen ||
            !std::equal(part.history.begin(), part.history.end(), seen.begin()))
            fault("KV pages do not hold the sequence's tokens");
        std::vector<float> logits = fake_logits(seen, options_.vocab, options_.end_every);
        if (options_.script) options_.script(seen, logits);
        sampled_.push_back(sample(logits, part));
        last_[part.slot] = sampled_.back().token;
    }

    FakeDeviceOptions options_;
    DeviceInfo info_;
    std::vector<TokenId> cells_;
    std::vector<std::vector<TokenId>> room_;
    std::vector<PageMove> asked_moves_;
    std::deque<std::vector<PageMove>> moves_;  // before each step that is begun
    std::deque<std::vector<OwnedPart>> begun_;
    std::map<int, TokenId> last_;  // chosen, by slot
    std::vector<Sampled> sampled_;
    std::atomic<int> steps_{0};
    TokenId spare_ = -1;
    mutable std::mutex mutex_;
    std::vector<std::string> faults_;
};

// What one sequence gives when it has the engine for itself: the law that every batch must obey.
struct Alone {
    std::vector<TokenId> tokens;
    std::string text;
    Piece last;
};

inline Alone run_alone(const std::vector<TokenId>& prompt, const Sampling& sampling,
                       int generated_max, const Tokenizer& tokenizer,
                       const FakeDeviceOptions& options) {
    Alone out;
    auto sink = [&](Piece& piece) {
        out.tokens.insert(out.tokens.end(), piece.tokens.begin(), piece.tokens.end());
        out.text += piece.text;
        if (piece.last) out.last = piece;
        return true;
    };
    Sequence sequence(1, prompt, sampling, sink, generated_max, *sampling.seed);
    while (!sequence.finished()) {
        std::vector<TokenId> history(sequence.tokens().begin(), sequence.tokens().end());
        std::vector<float> logits = fake_logits(history, options.vocab, options.end_every);
        if (options.script) options.script(history, logits);
        StepSequence part;
        part.sampling = &sequence.sampling();
        part.history = history;
        part.prompt_tokens = sequence.prompt_tokens();
        part.draw = sequence.draw();
        sequence.take(sample(logits, part), tokenizer);
        sequence.deliver({});
    }
    return out;
}

}  // namespace sluice
