#include "gateway/refusal.h"

#include "engine/log.h"

namespace sluice {

std::string refusal_body(std::string_view path, const Error& error, const std::string& request_id) {
    bool ours = error.code == Errc::internal;
    std::string out;
    if (path.starts_with("/v1/messages")) {
        out = R"({"type":"error","error":{"type":")";
        out += ours ? "api_error" : "invalid_request_error";
        out += R"(","message":)";
        append_json_string(out, error.message);
        out += R"(},"request_id":)";
        append_json_string(out, request_id);
        return out + "}";
    }
    out = R"({"error":{"message":)";
    append_json_string(out, error.message);
    out += R"(,"type":")";
    out += ours ? "server_error" : "invalid_request_error";
    return out + R"(","param":null,"code":null}})";
}

}  // namespace sluice
