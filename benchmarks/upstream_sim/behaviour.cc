#include "benchmarks/upstream_sim/behaviour.h"

#include <charconv>

namespace sluice::sim {

namespace {

constexpr std::int64_t tokens_max = 1'000'000;
constexpr double wait_ms_max = 3'600'000;

Error not_understood(std::string_view part) {
    return Error(Errc::invalid_request,
                 "the simulator does not understand '" + std::string(part) +
                     "'; right would be tokens=100, fault=429, reset_after=10 or the like");
}

bool read(std::string_view value, std::int64_t& into) {
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), into);
    return ec == std::errc() && end == value.data() + value.size() && into >= 0 &&
           into <= tokens_max;
}

bool read(std::string_view value, double& into) {
    auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), into);
    return ec == std::errc() && end == value.data() + value.size() && into >= 0 &&
           into <= wait_ms_max;
}

bool read_optional(std::string_view value, std::optional<std::int64_t>& into) {
    std::int64_t number = 0;
    if (!read(value, number)) return false;
    into = number;
    return true;
}

std::optional<Cut> cut_named(std::string_view word) {
    if (word == "reset") return Cut::reset;
    if (word == "close") return Cut::close;
    if (word == "stall") return Cut::stall;
    if (word == "malformed") return Cut::malformed;
    if (word == "error") return Cut::error;
    return std::nullopt;
}

// "reset" or "reset_after" with its number.
bool set_cut(Behaviour& behaviour, std::string_view word, std::string_view number) {
    bool after = word.ends_with("_after");
    if (after) word.remove_suffix(6);
    std::optional<Cut> cut = cut_named(word);
    if (!cut || after == number.empty()) return false;
    behaviour.cut_after = -1;
    if (after && !read(number, behaviour.cut_after)) return false;
    behaviour.cut = *cut;
    return true;
}

bool set_fault(Behaviour& behaviour, std::string_view value) {
    if (value == "wrong_type") return behaviour.wrong_type = true;
    if (value == "json") return behaviour.json = true;
    if (value == "no_usage") return behaviour.no_usage = true;
    std::int64_t status = 0;
    if (read(value, status)) {
        if (status < 400 || status > 599) return false;
        behaviour.status = static_cast<int>(status);
        return true;
    }
    std::size_t colon = value.find(':');
    if (colon == std::string_view::npos) return set_cut(behaviour, value, {});
    return set_cut(behaviour, value.substr(0, colon), value.substr(colon + 1));
}

bool set(Behaviour& behaviour, std::string_view key, std::string_view value) {
    if (key == "tokens") return read(value, behaviour.tokens);
    if (key == "reasoning_tokens") return read_optional(value, behaviour.reasoning_tokens);
    if (key == "input_tokens") return read_optional(value, behaviour.input_tokens);
    if (key == "cached_tokens") return read(value, behaviour.cached_tokens);
    if (key == "cache_write_tokens") return read(value, behaviour.cache_write_tokens);
    if (key == "first_token_ms") return read(value, behaviour.first_token_ms);
    if (key == "inter_token_ms") return read(value, behaviour.inter_token_ms);
    if (key == "retry_after") return read(value, behaviour.retry_after_s);
    if (key == "fault") return set_fault(behaviour, value);
    if (key == "tool") {
        behaviour.tool = value;
        return !value.empty();
    }
    return set_cut(behaviour, key, value);
}

}  // namespace

Status apply_directive(Behaviour& behaviour, std::string_view directive) {
    while (!directive.empty()) {
        std::size_t end = std::min(directive.find_first_of(" ,\t"), directive.size());
        std::string_view part = directive.substr(0, end);
        directive.remove_prefix(std::min(end + 1, directive.size()));
        if (part.empty()) continue;
        std::size_t equals = part.find('=');
        bool understood = equals == std::string_view::npos
                              ? set_fault(behaviour, part)
                              : set(behaviour, part.substr(0, equals), part.substr(equals + 1));
        if (!understood) return not_understood(part);
    }
    return Done();
}

std::string_view find_directive(std::string_view text) {
    constexpr std::string_view open = "[[sim ";
    std::size_t begin = text.rfind(open);
    if (begin == std::string_view::npos) return {};
    begin += open.size();
    std::size_t end = text.find("]]", begin);
    return end == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin);
}

}  // namespace sluice::sim
