#include "engine/batch.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <numeric>
#include <utility>

namespace sluice {
namespace {

using Sequences = std::deque<std::unique_ptr<Sequence>>;

void insert_by_rank(Sequences& into, std::unique_ptr<Sequence> sequence) {
    auto younger = [&](const auto& other) { return other->rank() > sequence->rank(); };
    auto at = std::find_if(into.begin(), into.end(), younger);
    into.insert(at, std::move(sequence));
}

std::unique_ptr<Sequence> take_out(Sequences& from, SequenceId id) {
    auto same = [&](const auto& sequence) { return sequence->id() == id; };
    auto at = std::find_if(from.begin(), from.end(), same);
    if (at == from.end()) return nullptr;
    std::unique_ptr<Sequence> out = std::move(*at);
    from.erase(at);
    return out;
}

}  // namespace

Batch::Batch(BatchLimits limits, std::int64_t pages, int page_tokens, PageHash hash)
    : limits_(limits), pool_(pages, page_tokens, hash) {
    for (int seat = limits.sequences_max; seat > 0; --seat) seats_.push_back(seat - 1);
    places_.resize(static_cast<std::size_t>(limits.swap_pages));
    std::iota(places_.rbegin(), places_.rend(), 0);
    step_.reserve(static_cast<std::size_t>(limits.sequences_max));
}

void Batch::add(std::unique_ptr<Sequence> sequence, Time now) {
    sequence->arrive(now);
    assert(pool_.pages_for(sequence->size_max()) <= pool_.total());
    insert_by_rank(waiting_, std::move(sequence));
}

// A held sequence that gave way waits for its sink before it asks for a seat again.
Sequence* Batch::next_waiting() const {
    for (const auto& sequence : waiting_)
        if (!sequence->held()) return sequence.get();
    return nullptr;
}

// Pages that begin with its tokens; the last token is left to compute.
PagePool::Shared Batch::shared_with(const Sequence& sequence) const {
    if (seats_.empty()) return {};
    auto tokens = sequence.tokens();
    if (limits_.batch_invariant)
        tokens = tokens.first(static_cast<std::size_t>(sequence.prompt_tokens()));
    return pool_.find(sequence.options().cache_tenant, tokens.first(tokens.size() - 1));
}

// Free pages that it takes, or that stop being free, beside those for the ones that run: it begins
// with `found` pages, of which no other holds `kept`.
std::int64_t Batch::pages_to_admit(const Sequence& sequence, std::int64_t found,
                                   std::int64_t kept) const {
    const int tokens = std::min(sequence.size() + limits_.output_reserve, sequence.size_max());
    return pool_.pages_for(tokens) - found + kept;
}

bool Batch::fits(const Sequence& sequence, const PagePool::Shared& shared) const {
    const std::int64_t needed = pages_to_admit(sequence, std::ssize(shared.pages), shared.kept);
    return !seats_.empty() && needed + running() <= pool_.free();
}

void Batch::admit(Time now) {
    while (Sequence* next = next_waiting()) {
        const PagePool::Shared shared = shared_with(*next);
        if (fits(*next, shared))
            take_seat(take_out(waiting_, next->id()), shared);
        else if (!displace_for(*next, shared) && !make_room(now))
            return;
    }
}

// False when nobody is to give way to `next`, or not enough of them.
bool Batch::displace_for(const Sequence& next, const PagePool::Shared& shared) {
    std::vector<const Sequence*> gone;
    PagePool::Without without(pool_);
    for (auto at = running_.rbegin(); at != running_.rend(); ++at) {
        const Sequence& other = **at;
        if (other.rank() < next.rank()) break;
        if (other.priority() >= next.priority()) continue;
        gone.push_back(&other);
        without.take(other.pages);
        const std::int64_t needed =
            pages_to_admit(next, std::ssize(shared.pages), without.kept(shared));
        if (needed + running() - std::ssize(gone) > without.free()) continue;
        for (const Sequence* sequence : gone) give_way(*sequence);
        return true;
    }
    return false;
}

// Sends a held sequence away if all that run are held. False when there is none to send.
bool Batch::make_room(Time now) {
    for (const auto& sequence : running_)
        if (!sequence->held()) return false;
    Sequence* held = victim(true);
    if (held == nullptr || now - held->held_since() < patience) return false;
    give_way(*held);
    return true;
}

// The youngest held sequence, else the youngest of all.
Sequence* Batch::victim(bool only_held) const {
    for (auto at = running_.rbegin(); at != running_.rend(); ++at)
        if ((*at)->held()) return at->get();
    return only_held || running_.empty() ? nullptr : running_.back().get();
}

void Batch::take_seat(std::unique_ptr<Sequence> sequence, const PagePool::Shared& shared) {
    sequence->slot = seats_.back();
    seats_.pop_back();
    pool_.share(sequence->pages, shared);
    sequence->offered_pages = static_cast<int>(shared.pages.size());
    const int found = sequence->offered_pages * pool_.page_tokens();
    if (sequence->cached_prompt_tokens < 0) sequence->cached_prompt_tokens = found;
    [[maybe_unused]] bool grown = pool_.grow(sequence->pages, sequence->size());
    assert(grown);
    swap_in(*sequence, found);
    insert_by_rank(running_, std::move(sequence));
}

void Batch::leave_seat(Sequence& sequence) {
    if (sequence.failed())
        pool_.give_back_spoilt(sequence.pages);
    else
        pool_.give_back(sequence.pages);
    if (sequence.slot >= 0) seats_.push_back(std::exchange(sequence.slot, -1));
    free_places(sequence);
    for (std::vector<Part>& parts : begun_)
        for (Part& part : parts)
            if (part.sequence == &sequence) part.sequence = nullptr;
    sequence.computed = 0;
    sequence.pending = 0;
    sequence.offered_pages = 0;
}

void Batch::give_way(const Sequence& sequence) {
    std::unique_ptr<Sequence> out = take_out(running_, sequence.id());
    // A token that a step under way chooses is thrown away: the one before it is computed again.
    const int tokens = std::min(out->computed, out->size() - 1);
    SwapPlaces places = swap_out(*out, tokens);
    leave_seat(*out);
    ++preemptions_;
    const bool dropped = places.ids.empty() && tokens > places.first_page * pool_.page_tokens();
    swaps_ += dropped || limits_.swap_pages == 0 ? 0 : 1;
    if (!places.ids.empty()) out->computed = tokens;
    out->swapped = std::move(places);
    insert_by_rank(waiting_, std::move(out));
}

// The places that its first tokens' pages go to: all of them, or where room is scarce those behind
// the pages that others hold too; none where there are not so many.
SwapPlaces Batch::swap_out(const Sequence& sequence, int tokens) {
    const int pages = pool_.pages_for(tokens);
    SwapPlaces out;
    if (!find_places(pages)) {
        out.first_page = std::min(pool_.held_by_others(sequence.pages), pages);
        if (!find_places(pages - out.first_page)) return out;
    }
    for (int i = out.first_page; i < pages; ++i) {
        out.ids.push_back(places_.back());
        places_.pop_back();
        moves_.push_back(
            {sequence.pages[static_cast<std::size_t>(i)], out.ids.back(), PageMove::To::room});
    }
    return out;
}

// Sets what is computed of it: `found` tokens in pages that it shares, or more that were swapped
// and join on to them.
void Batch::swap_in(Sequence& sequence, int found) {
    const SwapPlaces& places = sequence.swapped;
    const int shared = pool_.pages_for(found);
    if (places.ids.empty() || shared < places.first_page) sequence.computed = found;
    sequence.computed = std::max(found, sequence.computed);
    for (int i = shared; i < pool_.pages_for(sequence.computed); ++i)
        moves_.push_back({sequence.pages[static_cast<std::size_t>(i)],
                          places.ids[static_cast<std::size_t>(i - places.first_page)],
                          PageMove::To::pool});
    free_places(sequence);
}

void Batch::free_places(Sequence& sequence) {
    const SwapPlaces places = std::exchange(sequence.swapped, {});
    places_.insert(places_.end(), places.ids.begin(), places.ids.end());
}

// Whether there are so many places. If that makes them enough, sequences whose clients do not read
// give up theirs, the youngest first, and are computed again: a client that has stopped would else
// keep the room from all others.
bool Batch::find_places(int needed) {
    std::int64_t there = std::ssize(places_);
    for (const auto& sequence : waiting_)
        if (sequence->held()) there += std::ssize(sequence->swapped.ids);
    if (there < needed) return false;
    for (auto at = waiting_.rbegin(); std::ssize(places_) < needed; ++at) {
        if (!(*at)->held() || (*at)->swapped.ids.empty()) continue;
        free_places(**at);
        (*at)->computed = 0;
    }
    return true;
}

int Batch::tokens_at_once(const Sequence& sequence, int prefill_left) const {
    const int left = sequence.size() + sequence.pending - sequence.computed;
    const int of_prompt = sequence.prompt_tokens() - sequence.computed;
    if (left == 1 || (limits_.batch_invariant && of_prompt <= 0)) return 1;
    return std::min(limits_.batch_invariant ? of_prompt : left, prefill_left);
}

// How many of its tokens go into this step, with pages for them: 0 when it has to sit out.
int Batch::tokens_to_run(Sequence& sequence, int prefill_left) {
    const int count = tokens_at_once(sequence, prefill_left);
    while (count > 0 && !pool_.grow(sequence.pages, sequence.computed + count)) {
        Sequence* gone = victim(false);
        bool self = gone == &sequence;
        give_way(*gone);
        if (self) return 0;
    }
    return count;
}

// Whether a step can be built while one is under way. Nobody gives way for it, and nobody whose
// token must be known first is left behind by the others.
bool Batch::can_go_ahead() const {
    std::int64_t pages = 0;
    for (const auto& sequence : running_) {
        if (sequence->held() || (sequence->pending > 0 && sequence->ends_with_pending())) continue;
        if (sequence->pending > 0 && !sequence->goes_on_unseen()) return false;
        const int needed = pool_.pages_for(sequence->size() + sequence->pending);
        pages += std::max<std::int64_t>(needed - std::ssize(sequence->pages), 0);
    }
    return pages <= pool_.free();
}

StepSequence Batch::part_of(Sequence& sequence, int count) {
    const bool unseen = sequence.computed == sequence.size();
    StepSequence part;
    part.slot = sequence.slot;
    part.tokens = unseen ? std::span(&chosen_token, 1)
                         : sequence.tokens().subspan(static_cast<std::size_t>(sequence.computed),
                                                     static_cast<std::size_t>(count));
    part.position = sequence.computed;
    part.sample = sequence.computed + count == sequence.size() + sequence.pending;
    part.sampling = &sequence.sampling();
    part.history = sequence.tokens();
    part.prompt_tokens = sequence.prompt_tokens();
    part.draw = sequence.draw();
    part.pages = sequence.pages;
    part.hidden = part.sample && sequence.wants_hidden();
    return part;
}

std::vector<StepSequence>& Batch::build_step() {
    step_.clear();
    if (!begun_.empty() && !can_go_ahead()) return step_;
    std::vector<Part> parts;
    parts.reserve(running_.size());
    int prefill_left = limits_.prefill_tokens_max;
    // Whoever gives way is held or younger than `at`, so everything before it stays in the step;
    // only the index may have to follow it down.
    for (Sequence::Rank done;;) {
        auto next = [&](const auto& sequence) {
            return sequence->rank() > done && !sequence->held();
        };
        auto at = std::find_if(running_.begin(), running_.end(), next);
        if (at == running_.end()) break;
        Sequence& sequence = **at;
        done = sequence.rank();
        if (sequence.pending > 0 && sequence.ends_with_pending()) continue;
        int count = tokens_to_run(sequence, prefill_left);
        if (count == 0) continue;
        if (sequence.size() + sequence.pending - sequence.computed > 1)
            prefill_left = std::max(prefill_left - count, 0);  // one by one has a seat's place
        step_.push_back(part_of(sequence, count));
        sequence.computed += count;
        sequence.pending += step_.back().sample;
        parts.push_back({&sequence, sequence.computed, step_.back().sample});
    }
    if (!parts.empty()) begun_.push_back(std::move(parts));
    return step_;
}

const std::vector<Sequence*>& Batch::step_done() {
    assert(!begun_.empty());
    choosing_.clear();
    const std::vector<Part> parts = std::move(begun_.front());
    begun_.pop_front();
    for (const Part& part : parts) {
        Sequence* sequence = part.sequence;
        if (sequence != nullptr) offer_pages(*sequence, part.computed);
        if (!part.sample) continue;
        if (sequence != nullptr) --sequence->pending;
        if (sequence != nullptr && sequence->held()) {  // chooses again once it can go on
            sequence->computed = sequence->size() - 1;
            sequence = nullptr;
        }
        choosing_.push_back(sequence);
    }
    return choosing_;
}

// `computed`: its tokens that are in their pages now.
void Batch::offer_pages(Sequence& sequence, int computed) {
    if (!sequence.offers()) return;
    if (limits_.batch_invariant) computed = std::min(computed, sequence.prompt_tokens());
    const int whole = computed / pool_.page_tokens();
    if (whole == sequence.offered_pages) return;
    const auto tokens = sequence.tokens().first(static_cast<std::size_t>(computed));
    sequence.offered_pages = pool_.offer(sequence.pages, sequence.offered_pages,
                                         sequence.options().cache_tenant, tokens);
    sequence.offers_no_more = sequence.offered_pages < whole;
}

std::unique_ptr<Sequence> Batch::remove(SequenceId id) {
    std::unique_ptr<Sequence> out = take_out(running_, id);
    if (out == nullptr) out = take_out(waiting_, id);
    if (out != nullptr) leave_seat(*out);
    return out;
}

std::vector<std::unique_ptr<Sequence>> Batch::remove_finished() {
    std::vector<std::unique_ptr<Sequence>> out;
    for (auto* group : {&running_, &waiting_})
        for (auto& sequence : *group)
            if (sequence->finished()) {
                leave_seat(*sequence);
                out.push_back(std::move(sequence));
            }
    std::erase(running_, nullptr);
    std::erase(waiting_, nullptr);
    return out;
}

std::vector<std::unique_ptr<Sequence>> Batch::remove_all() {
    std::vector<std::unique_ptr<Sequence>> out;
    for (auto* group : {&running_, &waiting_}) {
        for (auto& sequence : *group) {
            leave_seat(*sequence);
            out.push_back(std::move(sequence));
        }
        group->clear();
    }
    begun_.clear();
    moves_.clear();
    return out;
}

std::int64_t Batch::uncomputed() const {
    std::int64_t tokens = 0;
    for (const auto* group : {&running_, &waiting_})
        for (const auto& sequence : *group) {
            const int left = sequence->size() - sequence->computed;
            if (left > 1 || sequence->slot < 0) tokens += left;
        }
    return tokens;
}

void Batch::each(const std::function<void(Sequence&)>& use) {
    for (auto& sequence : running_) use(*sequence);
    for (auto& sequence : waiting_) use(*sequence);
}

}  // namespace sluice
