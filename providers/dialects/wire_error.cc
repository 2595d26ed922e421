#include "providers/dialects/wire_error.h"

#include <utility>

namespace sluice {
namespace {

constexpr std::size_t said_bytes_max = 2000;

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

bool means_context_length(const WireError& wire) {
    return contains(wire.code, "context_length") || contains(wire.type, "context_length") ||
           contains(wire.message, "maximum context length") ||
           contains(wire.message, "context window") || contains(wire.message, "prompt is too long");
}

std::string said(const WireError& wire) {
    if (wire.message.empty()) return "no reason given";
    return wire.message.substr(0, said_bytes_max);
}

Errc errc_of_status(int status) {
    if (status == 401 || status == 402 || status == 403) return Errc::upstream_auth;
    if (status == 408 || status == 504) return Errc::timed_out;
    if (status == 429) return Errc::rate_limited;
    // 404: the upstream does not know the model we have configured, which another one may.
    if (status >= 500 || status == 404) return Errc::upstream_failed;
    return Errc::upstream_rejected;
}

// The types that mean the same at OpenAI and at Anthropic.
Errc errc_of_type(const WireError& wire) {
    static constexpr std::pair<std::string_view, Errc> types[] = {
        {"rate_limit", Errc::rate_limited},          {"authentication", Errc::upstream_auth},
        {"permission", Errc::upstream_auth},         {"billing", Errc::upstream_auth},
        {"insufficient_quota", Errc::upstream_auth}, {"timeout", Errc::timed_out},
        {"invalid_request", Errc::upstream_rejected}};
    for (auto& [type, code] : types)
        if (contains(wire.type, type)) return code;
    return wire.code == "429" ? Errc::rate_limited : Errc::upstream_failed;
}

}  // namespace

Error refusal(int status, const WireError& wire) {
    Errc code = errc_of_status(status);
    if (code == Errc::upstream_rejected && means_context_length(wire))
        code = Errc::context_length_exceeded;
    return Error(code, "the upstream answered " + std::to_string(status) + ": " + said(wire),
                 code == Errc::upstream_rejected ? wire.param : "");
}

Error failure_inside(const WireError& wire) {
    Errc code = means_context_length(wire) ? Errc::context_length_exceeded : errc_of_type(wire);
    return Error(code, "the upstream failed while answering: " + said(wire));
}

Error malformed_answer(const Error& error) {
    return Error(Errc::upstream_failed, "the upstream's answer is malformed: " + error.message);
}

}  // namespace sluice
