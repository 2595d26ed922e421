// An HTTP/1.1 answer read off the wire: head, then a body framed by length, by chunks or by the
// end of the connection (RFC 9112 section 6). Pure; fed in any cut. Interim answers are skipped.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "engine/result.h"
#include "gateway/http_chunks.h"
#include "gateway/transport.h"

namespace sluice {

class ResponseReader {
public:
    // Takes `bytes`; what they carry of the body is appended to `body`. Errors: upstream_failed,
    // saying what is malformed. Bytes after the end of the answer make the connection unfit to be
    // used again, no more.
    Status feed(std::string_view bytes, std::string& body);
    // The peer closed. An answer framed by that is then complete; any other is an error.
    Status end();

    bool headed() const { return stage_ != Stage::head; }
    bool done() const { return stage_ == Stage::done; }
    bool begun() const { return begun_; }        // some byte has come
    bool reusable() const { return reusable_; }  // when done
    const ResponseHead& head() const { return head_; }

private:
    enum class Stage { head, length, chunks, to_the_end, done };
    Status take_head(std::string_view& bytes);
    Status read_head(std::string_view head);
    Status read_status(std::string_view line);
    Status read_field(std::string_view line);
    Status begin_body();
    Status feed_chunks(std::string_view& bytes, std::string& body);

    Stage stage_ = Stage::head;
    ResponseHead head_;
    std::string head_bytes_;  // an unfinished head
    std::optional<std::size_t> content_length_;
    std::optional<ChunkReader> chunks_;
    std::size_t left_ = 0;  // of a body framed by length
    int interim_ = 0;
    bool chunked_ = false;
    bool begun_ = false;
    bool reusable_ = true;
};

}  // namespace sluice
