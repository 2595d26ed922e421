// Reads a mapped little-endian file front to back. The first fault is kept and every later read
// gives zero, so a caller checks once a record instead of once a number. One thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "engine/result.h"

namespace sluice {

inline std::string in_quotes(std::string_view name) {
    constexpr std::size_t shown_max = 80;  // a corrupt length can make a name of megabytes
    std::string out = "'";
    for (char c : name.substr(0, shown_max)) out += c >= 0x20 && c < 0x7F ? c : '?';
    out += name.size() > shown_max ? "...'" : "'";
    return out;
}

class ByteCursor {
public:
    ByteCursor(const std::string& path, std::span<const std::uint8_t> bytes)
        : path_(path), bytes_(bytes) {}

    bool ok() const { return fault_.empty(); }
    Error error() const { return Error(Errc::bad_file, fault_); }
    std::uint64_t at() const { return at_; }
    std::uint64_t left() const { return bytes_.size() - at_; }

    void fail(std::uint64_t offset, const std::string& what) {
        if (ok()) fault_ = path_ + ": at byte " + std::to_string(offset) + ": " + what;
    }

    template <class Number>
    Number number(std::string_view what) {
        Number value{};
        if (!take(sizeof value, what)) return value;
        std::memcpy(&value, bytes_.data() + at_ - sizeof value, sizeof value);
        return value;
    }

    std::string_view text(std::string_view what) {
        std::uint64_t offset = at_;
        auto length = number<std::uint64_t>(what);
        if (!ok()) return {};
        if (length > left()) {
            fail(offset, std::string(what) + " has length " + std::to_string(length) + ", but " +
                             std::to_string(left()) + " bytes of the file are left");
            return {};
        }
        at_ += length;
        return {reinterpret_cast<const char*>(bytes_.data() + at_ - length),
                static_cast<std::size_t>(length)};
    }

    bool take(std::uint64_t count, std::string_view what) {
        if (!ok()) return false;
        if (count > left()) {
            fail(at_, "the file ends inside " + std::string(what) + ": " + std::to_string(count) +
                          " bytes wanted, " + std::to_string(left()) + " left; it is truncated");
            return false;
        }
        at_ += count;
        return true;
    }

    // A count whose items of at least `item_bytes` cannot fit in the rest of the file is refused
    // before anything is sized by it.
    std::uint64_t count(std::uint64_t item_bytes, const std::string& what) {
        std::uint64_t offset = at_;
        auto value = number<std::uint64_t>(what);
        if (ok() && value > left() / item_bytes)
            fail(offset, what + " is " + std::to_string(value) + ", which does not fit in the " +
                             std::to_string(left()) + " bytes left of the file");
        return ok() ? value : 0;
    }

private:
    const std::string& path_;
    std::span<const std::uint8_t> bytes_;
    std::uint64_t at_ = 0;
    std::string fault_;
};

}  // namespace sluice
