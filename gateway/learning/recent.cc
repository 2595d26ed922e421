#include "gateway/learning/recent.h"

#include <algorithm>
#include <thread>

#include "gateway/owned_mark.h"

namespace sluice {
namespace {

class Held {
public:
    explicit Held(std::atomic<bool>& busy) : busy_(busy) {}
    ~Held() { busy_.store(false, std::memory_order_release); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

private:
    std::atomic<bool>& busy_;
};

bool taken(std::atomic<bool>& busy) { return busy.exchange(true, std::memory_order_acquire); }

}  // namespace

std::uint64_t answer_mark(const Caller& caller, std::string_view request_id) {
    std::uint64_t hash = owned_mark(caller, request_id);
    hash ^= hash >> 33;
    return hash == 0 ? 1 : hash;
}

RecentAnswers::RecentAnswers(std::size_t answers)
    : count_(std::max<std::size_t>(answers / ways, 1)), sets_(std::make_unique<Set[]>(count_)) {}

bool RecentAnswers::remember(const Answered& answer) {
    Set& set = set_of(answer.mark);
    if (taken(set.busy)) return false;
    Held held(set.busy);
    auto place = std::find_if(set.answers.begin(), set.answers.end(),
                              [&](const Answered& one) { return one.mark == answer.mark; });
    if (place == set.answers.end())
        place = std::min_element(
            set.answers.begin(), set.answers.end(),
            [](const Answered& a, const Answered& b) { return a.at_unix_ms < b.at_unix_ms; });
    const bool again = place->mark == answer.mark && place->request_id == answer.request_id;
    const std::uint32_t known = again ? place->known : 0;
    *place = answer;
    place->known |= known;
    return true;
}

std::optional<Answered> RecentAnswers::note(std::uint64_t mark, std::string_view request_id,
                                            std::uint32_t kind) {
    Set& set = set_of(mark);
    while (taken(set.busy)) std::this_thread::yield();  // a copy of 600 bytes long
    Held held(set.busy);
    for (Answered& one : set.answers) {
        if (one.mark != mark || one.request_id != request_id) continue;
        Answered before = one;
        one.known |= kind;
        return before;
    }
    return {};
}

std::string RecentAnswers::request_of(std::uint64_t mark) {
    Set& set = set_of(mark);
    while (taken(set.busy)) std::this_thread::yield();
    Held held(set.busy);
    for (const Answered& one : set.answers)
        if (one.mark == mark) return one.request_id;
    return "";
}

}  // namespace sluice
