#include "engine/text/stop_matcher.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
    for (const std::string& stop : stops) {
        assert(!stop.empty());
        Pattern pattern;
        pattern.text = stop;
        pattern.border.resize(stop.size(), 0);
        for (std::size_t i = 1; i < stop.size(); ++i) {
            std::size_t length = pattern.border[i - 1];
            while (length > 0 && stop[i] != stop[length]) length = pattern.border[length - 1];
            pattern.border[i] = stop[i] == stop[length] ? length + 1 : 0;
        }
        patterns_.push_back(std::move(pattern));
    }
}

void StopMatcher::Pattern::feed(char byte) {
    while (matched > 0 && byte != text[matched]) matched = border[matched - 1];
    if (byte == text[matched]) ++matched;
}

std::string StopMatcher::push(std::string_view text) {
    if (stopped()) return {};
    if (patterns_.empty()) return std::string(text);
    std::size_t hold = 0;
    for (char byte : text) {
        held_ += byte;
        hold = 0;
        for (Pattern& pattern : patterns_) {
            pattern.feed(byte);
            hold = std::max(hold, pattern.matched);
            if (pattern.matched == pattern.text.size() && pattern.text.size() > found_.size())
                found_ = pattern.text;
        }
        if (!stopped()) continue;
        held_.resize(held_.size() - found_.size());
        return std::exchange(held_, {});
    }
    if (text.empty()) return {};
    std::string out = held_.substr(0, held_.size() - hold);
    held_.erase(0, out.size());
    return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace sluice
