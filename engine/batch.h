// Who runs in the next step: the sequences that run, those that wait, and the KV pages between
// them. Pure bookkeeping on the engine thread: no clock, no locks, no device; it calls no sink.
//
// Rules, and why no sequence can wait for ever:
// - Age is the order of arrival, a sequence of priority p counted as if it had come p times
//   SubmitOptions::priority_lead earlier: what arrives later than that behind another is younger,
//   whatever its priority, so everyone is the oldest at some time. Sequences are admitted oldest
//   first, each only when all its tokens, `output_reserve` more (or what it may still generate, if
//   less) and one page for every sequence that runs are free: admitting a prompt that soon had to
//   leave again costs more than it brings.
// - Pages for the output are taken as it grows. When none is free, a sequence gives all its pages
//   back and waits, keeping its tokens and its place by age: the youngest held one, else the
//   youngest. What they hold goes to the device's swap room, and comes back with the sequence, so
//   that nothing changes but time; where it is short, without the beginning that others hold, and
//   in the places of those whose clients do not read. Where that room is full, or there is none,
//   prompt and output so far are computed again later; its draws depend only on seed and index, so
//   that changes nothing either where the device computes a token the same way in any step.
// - Whole pages of computed tokens are offered to later sequences of the same tenant, and one that
//   takes its seat begins with the longest such run that it finds, but never with its last token:
//   that one must be computed for the next to be chosen. A sequence that gave way so finds its own
//   again, if nothing needed the pages meanwhile. Pages kept for this alone count as free.
// - Where the oldest that waits lacks seat or pages, running ones of lower priority that are
//   younger give way to it, the youngest first, if that makes room enough; else nobody moves.
// - The oldest sequence that is not held can always go on: every other one gives way to it, and a
//   sequence never has more tokens than the pool.
// - Where the device takes a step while one is under way, the next is built before the tokens of
//   this one are known, if that holds nobody up: every sequence in it can go on unseen (or ends
//   with the token that is chosen now), and there are pages for all. A sequence that turns out to
//   have ended, or to be held, or that left its seat, has what the later step chose for it thrown
//   away; its pages may be others' at once, for steps run in order. Tokens are the same as without.
// - Held sequences (their sink is full) keep seat and pages, but when nothing else can run they
//   give way to one that waits, once they have been held for `patience`.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/sequence.h"

namespace sluice {

struct BatchLimits {
    int sequences_max = 32;
    int prefill_tokens_max = 256;
    int output_reserve = 256;  // tokens that must be free beside a prompt to admit it
    // A token is computed the same way whatever happened: prompts in runs, of which alone others
    // may have the pages, and what was generated one by one, also when it is computed again.
    bool batch_invariant = false;
    std::int64_t swap_pages = 0;  // places in the device's swap room
};

class Batch {
public:
    static constexpr std::chrono::milliseconds patience{100};
    using Time = Sequence::Time;

    Batch(BatchLimits limits, std::int64_t pages, int page_tokens, PageHash hash = hash_page);

    // Precondition: sequence->size_max() fits the whole pool.
    void add(std::unique_ptr<Sequence> sequence, Time now);
    void admit(Time now);
    // The next step, oldest first: one token of each sequence that decodes, and at most
    // prefill_tokens_max tokens of those whose tokens are not computed yet. It counts as begun
    // unless it is empty. Spans stay valid until the next call of anything here.
    std::vector<StepSequence>& build_step();
    int begun() const { return static_cast<int>(begun_.size()); }  // and not done
    // Copies that the device is to make before the step that was built last, in this order. Asked
    // for once.
    std::vector<PageMove> take_moves() { return std::exchange(moves_, {}); }
    // Records the oldest step as computed; the sequences that were to choose a token, in its order:
    // nullptr where it is of no use any more.
    const std::vector<Sequence*>& step_done();

    // Takes sequences out, with pages and seat free again.
    std::unique_ptr<Sequence> remove(SequenceId id);  // nullptr when it is not here
    std::vector<std::unique_ptr<Sequence>> remove_finished();
    std::vector<std::unique_ptr<Sequence>> remove_all();

    // Every sequence here, running or waiting, oldest first within each.
    void each(const std::function<void(Sequence&)>& use);
    int running() const { return static_cast<int>(running_.size()); }
    int waiting() const { return static_cast<int>(waiting_.size()); }
    // Tokens that steps have still to compute before all here decode.
    std::int64_t uncomputed() const;
    const PagePool& pages() const { return pool_; }
    std::int64_t swapped() const { return limits_.swap_pages - std::ssize(places_); }  // pages
    // Times that a sequence gave way, and of them those that kept their keys and values then: in
    // the swap room or in pages that others hold, or because nothing was computed.
    std::uint64_t preemptions() const { return preemptions_; }
    std::uint64_t swaps() const { return swaps_; }
    // Forgets what is kept for later sequences.
    void drop_kept() { pool_.drop_kept(); }

private:
    using Sequences = std::deque<std::unique_ptr<Sequence>>;
    // What a begun step does with a sequence; nullptr once it has left its seat.
    struct Part {
        Sequence* sequence;
        int computed;  // tokens, when the step is done
        bool sample;
    };

    bool can_go_ahead() const;
    StepSequence part_of(Sequence& sequence, int count);
    std::int64_t pages_to_admit(const Sequence& sequence, std::int64_t found,
                                std::int64_t kept) const;
    bool fits(const Sequence& sequence, const PagePool::Shared& shared) const;
    Sequence* next_waiting() const;
    Sequence* victim(bool only_held) const;
    bool make_room(Time now);
    bool displace_for(const Sequence& next, const PagePool::Shared& shared);
    PagePool::Shared shared_with(const Sequence& sequence) const;
    void take_seat(std::unique_ptr<Sequence> sequence, const PagePool::Shared& shared);
    void offer_pages(Sequence& sequence, int computed);
    void leave_seat(Sequence& sequence);
    void give_way(const Sequence& sequence);
    SwapPlaces swap_out(const Sequence& sequence, int tokens);
    void swap_in(Sequence& sequence, int found);
    void free_places(Sequence& sequence);
    bool find_places(int needed);
    int tokens_at_once(const Sequence& sequence, int prefill_left) const;
    int tokens_to_run(Sequence& sequence, int prefill_left);

    BatchLimits limits_;
    PagePool pool_;
    Sequences running_;  // by age, oldest first
    Sequences waiting_;  // by age, oldest first
    std::vector<int> seats_;
    std::vector<std::int32_t> places_;  // empty ones of the swap room, a stack
    std::vector<PageMove> moves_;
    std::uint64_t preemptions_ = 0, swaps_ = 0;
    std::vector<StepSequence> step_;
    std::deque<std::vector<Part>> begun_;  // oldest first
    std::vector<Sequence*> choosing_;
};

}  // namespace sluice
