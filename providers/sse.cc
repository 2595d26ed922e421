// The event stream interpretation of the WHATWG HTML standard, section 9.2.6. `id` and `retry`
// lines are dropped: no reader of ours reconnects.
#include "providers/sse.h"

namespace sluice {
namespace {

// Where the next `wanted` is at or after `from`, remembered in `known` so that each byte of a feed
// is looked at once however many lines it has.
std::size_t next_byte(std::string_view bytes, char wanted, std::size_t from, std::size_t& known) {
    if (known != std::string_view::npos && known < from) known = bytes.find(wanted, from);
    return known;
}

}  // namespace

Status SseReader::feed(std::string_view bytes, std::vector<SseEvent>& events) {
    std::size_t at = 0;
    std::size_t line_feed = bytes.find('\n');
    std::size_t carriage_return = bytes.find('\r');
    while (at < bytes.size()) {
        if (after_cr_) {
            after_cr_ = false;
            if (bytes[at] == '\n') {
                ++at;
                continue;
            }
        }
        std::size_t end = std::min(next_byte(bytes, '\n', at, line_feed),
                                   next_byte(bytes, '\r', at, carriage_return));
        bool whole = end != std::string_view::npos;
        std::string_view piece = bytes.substr(at, whole ? end - at : end);
        if (line_.size() + piece.size() + current_.data.size() > event_bytes_max_) {
            return Error(Errc::upstream_failed, "an event of the stream is over " +
                                                    std::to_string(event_bytes_max_) + " bytes");
        }
        if (!whole) {
            line_ += piece;
            break;
        }
        if (line_.empty()) {
            take_line(piece, events);
        } else {
            line_ += piece;
            take_line(line_, events);
            line_.clear();
        }
        after_cr_ = bytes[end] == '\r';
        at = end + 1;
    }
    return Done{};
}

void SseReader::take_line(std::string_view line, std::vector<SseEvent>& events) {
    if (at_start_) {
        at_start_ = false;
        if (line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
    }
    if (line.empty()) {
        if (has_data_) events.push_back(std::move(current_));
        current_ = SseEvent();
        has_data_ = false;
        return;
    }
    std::size_t colon = line.find(':');
    std::string_view field = line.substr(0, colon);
    std::string_view value;
    if (colon != std::string_view::npos) value = line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (field == "data") {
        if (has_data_) current_.data += '\n';
        current_.data += value;
        has_data_ = true;
    } else if (field == "event") {
        current_.event = value;
    }
}

}  // namespace sluice
