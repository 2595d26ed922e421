#include "engine/batch.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

using Sequences = std::deque<std::unique_ptr<Sequence>>;

void insert_by_age(Sequences& into, std::unique_ptr<Sequence> sequence) {
    auto younger = [&](const auto& other) { return other->id() > sequence->id(); };
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

Batch::Batch(BatchLimits limits, std::int64_t pages, int page_tokens)
    : limits_(limits), pool_(pages, page_tokens) {
    for (int seat = limits.sequences_max; seat > 0; --seat) seats_.push_back(seat - 1);
    step_.reserve(static_cast<std::size_t>(limits.sequences_max));
}

void Batch::add(std::unique_ptr<Sequence> sequence) {
    assert(pool_.pages_for(sequence->size_max()) <= pool_.total());
    insert_by_age(waiting_, std::move(sequence));
}

// A held sequence that gave way waits for its sink before it asks for a seat again.
Sequence* Batch::next_waiting() const {
    for (const auto& sequence : waiting_)
        if (!sequence->held()) return sequence.get();
    return nullptr;
}

bool Batch::fits(const Sequence& sequence) const {
    if (seats_.empty()) return false;
    int tokens = std::min(sequence.size() + limits_.output_reserve, sequence.size_max());
    return pool_.pages_for(tokens) + running() <= pool_.free();
}

void Batch::admit(Time now) {
    while (Sequence* next = next_waiting()) {
        if (!fits(*next) && !make_room(now)) return;
        if (fits(*next)) take_seat(take_out(waiting_, next->id()));
    }
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

void Batch::take_seat(std::unique_ptr<Sequence> sequence) {
    sequence->slot = seats_.back();
    seats_.pop_back();
    [[maybe_unused]] bool grown = pool_.grow(sequence->pages, sequence->size());
    assert(grown);
    insert_by_age(running_, std::move(sequence));
}

void Batch::leave_seat(Sequence& sequence) {
    pool_.give_back(sequence.pages);
    if (sequence.slot >= 0) seats_.push_back(std::exchange(sequence.slot, -1));
    sequence.computed = 0;
}

void Batch::give_way(const Sequence& sequence) {
    std::unique_ptr<Sequence> out = take_out(running_, sequence.id());
    leave_seat(*out);
    insert_by_age(waiting_, std::move(out));
}

// How many of its tokens go into this step, with pages for them: 0 when it has to sit out.
int Batch::tokens_to_run(Sequence& sequence, int prefill_left) {
    int left = sequence.size() - sequence.computed;
    int count = left == 1 ? 1 : std::min(left, prefill_left);
    while (count > 0 && !pool_.grow(sequence.pages, sequence.computed + count)) {
        Sequence* gone = victim(false);
        bool self = gone == &sequence;
        give_way(*gone);
        if (self) return 0;
    }
    return count;
}

std::vector<StepSequence>& Batch::build_step() {
    step_.clear();
    stepping_.clear();
    int prefill_left = limits_.prefill_tokens_max;
    // Whoever gives way is held or younger than `at`, so everything before it stays in the step;
    // only the index may have to follow it down.
    for (SequenceId done = 0;;) {
        auto next = [&](const auto& sequence) {
            return sequence->id() > done && !sequence->held();
        };
        auto at = std::find_if(running_.begin(), running_.end(), next);
        if (at == running_.end()) break;
        Sequence& sequence = **at;
        done = sequence.id();
        int count = tokens_to_run(sequence, prefill_left);
        if (count == 0) continue;
        if (sequence.size() - sequence.computed > 1) prefill_left -= count;
        StepSequence part;
        part.slot = sequence.slot;
        part.tokens = sequence.tokens().subspan(static_cast<std::size_t>(sequence.computed),
                                                static_cast<std::size_t>(count));
        part.position = sequence.computed;
        part.sample = sequence.computed + count == sequence.size();
        part.sampling = &sequence.sampling();
        part.history = sequence.tokens();
        part.prompt_tokens = sequence.prompt_tokens();
        part.draw = sequence.draw();
        part.pages = sequence.pages;
        step_.push_back(part);
        stepping_.push_back(&sequence);
    }
    return step_;
}

const std::vector<Sequence*>& Batch::step_done() {
    choosing_.clear();
    for (std::size_t i = 0; i < step_.size(); ++i) {
        stepping_[i]->computed += static_cast<int>(step_[i].tokens.size());
        if (step_[i].sample) choosing_.push_back(stepping_[i]);
    }
    return choosing_;
}

std::unique_ptr<Sequence> Batch::remove(SequenceId id) {
    std::unique_ptr<Sequence> out = take_out(running_, id);
    if (out == nullptr) return take_out(waiting_, id);
    leave_seat(*out);
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
    return out;
}

void Batch::each(const std::function<void(Sequence&)>& use) {
    for (auto& sequence : running_) use(*sequence);
    for (auto& sequence : waiting_) use(*sequence);
}

}  // namespace sluice
