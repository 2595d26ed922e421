// Server-sent events: bytes in any cut -> events. WHATWG rules: LF, CR or CRLF ends a line, a
// leading BOM is skipped, comments (":...") are dropped, several data lines join with LF.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice {

struct SseEvent {
    std::string event;  // "" = message
    std::string data;
};

class SseReader {
public:
    explicit SseReader(std::size_t event_bytes_max = 8U << 20)
        : event_bytes_max_(event_bytes_max) {}
    // Appends the events completed by `bytes`. Error upstream_failed: an event over the limit.
    Status feed(std::string_view bytes, std::vector<SseEvent>& events);
    // At the end of the body: true when bytes of an unfinished event are left (a cut stream).
    bool unfinished() const { return !line_.empty() || has_data_; }

private:
    void take_line(std::string_view line, std::vector<SseEvent>& events);
    std::size_t event_bytes_max_;
    std::string line_;
    SseEvent current_;
    bool has_data_ = false;
    bool after_cr_ = false;
    bool at_start_ = true;
};

}  // namespace sluice
