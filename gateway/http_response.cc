#include "gateway/http_response.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace sluice {
namespace {

constexpr std::size_t head_bytes_max = 64U << 10;
constexpr std::size_t extra_bytes_max = 64U << 10;  // chunk extensions and trailers
constexpr int interim_max = 16;
constexpr std::size_t reserved_bytes_max = 64U << 10;

Error malformed(std::string_view what) {
    return Error(Errc::upstream_failed, "its answer is not HTTP/1.1: " + std::string(what));
}

bool same_word(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

}  // namespace

Status ResponseReader::feed(std::string_view bytes, std::string& body) {
    begun_ = begun_ || !bytes.empty();
    while (!bytes.empty()) {
        Status taken{Done{}};
        switch (stage_) {
            case Stage::head:
                taken = take_head(bytes);
                break;
            case Stage::chunks:
                taken = feed_chunks(bytes, body);
                break;
            case Stage::length: {
                std::size_t size = std::min(left_, bytes.size());
                if (body.empty()) body.reserve(std::min(left_, reserved_bytes_max));
                body.append(bytes.substr(0, size));
                bytes.remove_prefix(size);
                left_ -= size;
                if (left_ == 0) stage_ = Stage::done;
                break;
            }
            case Stage::to_the_end:
                body.append(bytes);
                bytes = {};
                break;
            case Stage::done:
                reusable_ = false;
                return Done{};
        }
        if (!taken) return taken;
    }
    return Done{};
}

Status ResponseReader::end() {
    reusable_ = false;
    if (stage_ == Stage::to_the_end) stage_ = Stage::done;
    if (stage_ == Stage::done) return Done{};
    if (!begun_) return Error(Errc::upstream_failed, "closed the connection without an answer");
    return Error(Errc::upstream_failed, "closed the connection in the middle of its answer");
}

// Moves a whole head out of the front of `bytes` and reads it.
Status ResponseReader::take_head(std::string_view& bytes) {
    std::size_t before = head_bytes_.size();
    std::size_t from = before < 3 ? 0 : before - 3;  // the blank line may lie across the cut
    std::size_t end = std::string_view::npos;
    if (before == 0) {
        end = bytes.find("\r\n\r\n");
    } else {
        head_bytes_.append(bytes);
        end = head_bytes_.find("\r\n\r\n", from);
    }
    if (end == std::string_view::npos) {
        if (before == 0) head_bytes_ = bytes;
        bytes = {};
        if (head_bytes_.size() > head_bytes_max) return malformed("its head is over 64 KiB");
        return Done{};
    }
    if (end > head_bytes_max) return malformed("its head is over 64 KiB");
    Status read{Done{}};
    if (before == 0) {
        read = read_head(bytes.substr(0, end + 2));
        bytes.remove_prefix(end + 4);
    } else {
        read = read_head(std::string_view(head_bytes_).substr(0, end + 2));
        bytes.remove_prefix(end + 4 - before);
        head_bytes_ = std::string();
    }
    return read;
}

// `head`: lines, each with its CR LF, the empty one excluded.
Status ResponseReader::read_head(std::string_view head) {
    head_ = ResponseHead();
    content_length_.reset();
    chunked_ = false;
    reusable_ = true;
    bool first = true;
    while (!head.empty()) {
        std::size_t end = head.find("\r\n");
        std::string_view line = head.substr(0, end);
        auto read = first ? read_status(line) : read_field(line);
        if (!read) return read;
        first = false;
        head.remove_prefix(end + 2);
    }
    if (head_.status >= 200) return begin_body();
    if (head_.status == 101 || ++interim_ > interim_max)
        return malformed("an interim answer that was not asked for");
    return Done{};
}

Status ResponseReader::read_status(std::string_view line) {
    bool shaped =
        line.size() >= 12 && (line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "));
    int status = 0;
    if (shaped) std::from_chars(line.data() + 9, line.data() + 12, status);
    if (status < 100 || status > 599 || (line.size() > 12 && line[12] != ' '))
        return malformed("its first line is no status line");
    head_.status = status;
    if (line[7] == '0') reusable_ = false;
    return Done{};
}

Status ResponseReader::read_field(std::string_view line) {
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return malformed("a header without a name");
    std::string_view name = line.substr(0, colon);
    std::string_view value = trimmed(line.substr(colon + 1));
    head_.read_field(name, value);
    if (same_word(name, "content-length")) {
        std::size_t length = 0;
        auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), length);
        bool number = ec == std::errc() && end == value.data() + value.size();
        if (!number || (content_length_ && *content_length_ != length))
            return malformed("a Content-Length that is no number, or two that differ");
        content_length_ = length;
    } else if (same_word(name, "transfer-encoding")) {
        if (!same_word(value, "chunked")) return malformed("a Transfer-Encoding besides 'chunked'");
        chunked_ = true;
    } else if (same_word(name, "connection")) {
        if (same_word(value, "close")) reusable_ = false;
    }
    return Done{};
}

Status ResponseReader::begin_body() {
    if (head_.status == 204 || head_.status == 304) {
        stage_ = Stage::done;
    } else if (chunked_) {
        if (content_length_) reusable_ = false;  // ambiguous: chunks count, and then no more
        chunks_.emplace(std::numeric_limits<std::size_t>::max(), extra_bytes_max);
        stage_ = Stage::chunks;
    } else if (content_length_) {
        left_ = *content_length_;
        stage_ = left_ == 0 ? Stage::done : Stage::length;
    } else {
        reusable_ = false;
        stage_ = Stage::to_the_end;
    }
    return Done{};
}

Status ResponseReader::feed_chunks(std::string_view& bytes, std::string& body) {
    auto fed = chunks_->feed(bytes, body);
    if (!fed) return malformed(fed.error().message);
    if (chunks_->done()) stage_ = Stage::done;
    return Done{};
}

}  // namespace sluice
