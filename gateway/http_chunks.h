// The chunked transfer coding, from the wire to the body (RFC 9112 section 7.1). Pure; fed in any
// cut. Extensions and trailers are checked and dropped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

class ChunkReader {
public:
    // `extra_bytes_max` bounds all extensions and trailers of the body together.
    ChunkReader(std::size_t body_bytes_max, std::size_t extra_bytes_max)
        : body_bytes_max_(body_bytes_max), extra_bytes_left_(extra_bytes_max) {}

    // Takes bytes off the front of `bytes` and appends what they carry to `body`; leaves what
    // follows the end of the body. Errors: invalid_request, request_too_large.
    Status feed(std::string_view& bytes, std::string& body);
    bool done() const { return state_ == State::done; }

private:
    enum class State { size_line, data, data_end, trailers, done };
    Status take_line(std::string_view& bytes, bool& whole);
    Status read_size(std::size_t body_bytes);
    Status read_trailer();

    std::size_t body_bytes_max_;
    std::size_t extra_bytes_left_;
    State state_ = State::size_line;
    std::string line_;            // of a size, the end of a chunk, or a trailer; without its LF
    std::size_t chunk_left_ = 0;  // bytes
};

}  // namespace sluice
