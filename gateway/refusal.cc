#include "gateway/refusal.h"

#include "providers/dialect.h"

namespace sluice {

std::string refusal_body(std::string_view path, const Error& error, const std::string& request_id) {
    bool messages = path == "/v1/messages" || path.starts_with("/v1/messages/");
    const Dialect* dialect = find_dialect(messages ? "anthropic_messages" : "openai_chat");
    return dialect->write_error(error, request_id);
}

}  // namespace sluice
