#include "gateway/http_chunks.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::size_t line_bytes_max = 4096;

Error bad(std::string message) { return Error(Errc::invalid_request, std::move(message)); }

bool has_control(std::string_view text) {
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return true;
    }
    return false;
}

}  // namespace

Status ChunkReader::feed(std::string_view& bytes, std::string& body) {
    while (!bytes.empty() && state_ != State::done) {
        if (state_ == State::data) {
            std::size_t taken = std::min(chunk_left_, bytes.size());
            body.append(bytes.substr(0, taken));
            bytes.remove_prefix(taken);
            chunk_left_ -= taken;
            if (chunk_left_ == 0) state_ = State::data_end;
            continue;
        }
        bool whole = false;
        auto taken = take_line(bytes, whole);
        if (!taken) return taken;
        if (!whole) return Done{};
        if (state_ == State::data_end) {
            if (!line_.empty()) return bad("a chunk of the body is longer than its stated size");
            state_ = State::size_line;
        } else {
            auto read = state_ == State::trailers ? read_trailer() : read_size(body.size());
            if (!read) return read;
        }
        line_.clear();
    }
    return Done{};
}

Status ChunkReader::take_line(std::string_view& bytes, bool& whole) {
    std::size_t end = bytes.find('\n');
    std::size_t taken = end == std::string_view::npos ? bytes.size() : end;
    std::size_t line_max = state_ == State::data_end ? 2 : line_bytes_max;
    if (line_.size() + taken > line_max) return bad("a line of the chunked body is too long");
    line_.append(bytes.substr(0, taken));
    if (end == std::string_view::npos) {
        bytes = {};
        return Done{};
    }
    bytes.remove_prefix(end + 1);
    if (line_.empty() || line_.back() != '\r')
        return bad("a line of the chunked body must end in CR LF");
    line_.pop_back();
    if (has_control(line_)) return bad("the chunked body's framing holds a control character");
    whole = true;
    return Done{};
}

Status ChunkReader::read_size(std::size_t body_bytes) {
    std::size_t size = 0;
    std::size_t digits = 0;
    for (; digits < line_.size(); ++digits) {
        char c = line_[digits];
        int value = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (value < 0) break;
        if (digits == 8) return bad("a chunk's size has more than 8 hex digits");
        size = size * 16 + static_cast<std::size_t>(value);
    }
    if (digits == 0) return bad("a chunk must begin with its size in hex digits");
    std::size_t extension = line_.size() - digits;
    if (extension > 0) {
        std::size_t mark = line_.find_first_not_of(" \t", digits);
        if (mark == std::string::npos || line_[mark] != ';')
            return bad("after a chunk's size only ';' and an extension may follow");
    }
    if (extension > extra_bytes_left_)
        return Error(Errc::request_too_large, "the body's chunk extensions are too long");
    extra_bytes_left_ -= extension;
    if (size > body_bytes_max_ - body_bytes)
        return Error(Errc::request_too_large,
                     "the body is over the limit of " + std::to_string(body_bytes_max_) + " bytes");
    chunk_left_ = size;
    state_ = size == 0 ? State::trailers : State::data;
    return Done{};
}

Status ChunkReader::read_trailer() {
    if (line_.empty()) {
        state_ = State::done;
        return Done{};
    }
    std::size_t colon = line_.find(':');
    if (colon == 0 || colon == std::string::npos || line_.find_first_of(" \t") < colon)
        return bad("a trailer must be 'Name: value'");
    if (line_.size() + 2 > extra_bytes_left_)
        return Error(Errc::request_too_large, "the body's trailers are too long");
    extra_bytes_left_ -= line_.size() + 2;
    return Done{};
}

}  // namespace sluice
