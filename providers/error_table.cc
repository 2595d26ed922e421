#include "providers/error_table.h"

namespace sluice {
namespace {

// status, openai type, openai code, anthropic type, another attempt may help
constexpr ErrorRow invalid_request_row{400, "invalid_request_error", "", "invalid_request_error",
                                       false};
constexpr ErrorRow context_length_row{400, "invalid_request_error", "context_length_exceeded",
                                      "invalid_request_error", true};
constexpr ErrorRow unsupported_row{400, "invalid_request_error", "unsupported_parameter",
                                   "invalid_request_error", false};
constexpr ErrorRow unauthorized_row{401, "authentication_error", "invalid_api_key",
                                    "authentication_error", false};
constexpr ErrorRow forbidden_row{403, "permission_error", "forbidden", "permission_error", false};
constexpr ErrorRow not_found_row{404, "invalid_request_error", "not_found", "not_found_error",
                                 false};
constexpr ErrorRow method_row{405, "invalid_request_error", "method_not_allowed",
                              "invalid_request_error", false};
constexpr ErrorRow model_row{404, "invalid_request_error", "model_not_found", "not_found_error",
                             false};
constexpr ErrorRow too_large_row{413, "invalid_request_error", "request_too_large",
                                 "request_too_large", false};
constexpr ErrorRow request_timeout_row{408, "invalid_request_error", "request_timeout",
                                       "invalid_request_error", false};
constexpr ErrorRow over_budget_row{402, "insufficient_quota", "budget_exceeded", "billing_error",
                                   false};
// What OpenAI's and Anthropic's own limits of spend look like. SDKs repeat a 429 unless a header
// forbids it: gateway/chat_reply.cc.
constexpr ErrorRow budget_spent_row{429, "insufficient_quota", "insufficient_quota",
                                    "rate_limit_error", false};
constexpr ErrorRow rate_limited_row{429, "rate_limit_error", "rate_limit_exceeded",
                                    "rate_limit_error", true};
constexpr ErrorRow rejected_row{400, "invalid_request_error", "upstream_rejected",
                                "invalid_request_error", false};
constexpr ErrorRow failed_row{502, "server_error", "upstream_failed", "api_error", true};
constexpr ErrorRow auth_row{502, "server_error", "upstream_auth", "api_error", true};
constexpr ErrorRow no_upstream_row{503, "server_error", "no_upstream", "overloaded_error", false};
constexpr ErrorRow timed_out_row{504, "server_error", "timed_out", "timeout_error", true};
constexpr ErrorRow cancelled_row{499, "server_error", "cancelled", "api_error", false};
constexpr ErrorRow overloaded_row{503, "server_error", "overloaded", "overloaded_error", true};
constexpr ErrorRow price_row{503, "server_error", "price_unknown", "api_error", true};
constexpr ErrorRow file_row{500, "server_error", "bad_file", "api_error", false};
constexpr ErrorRow config_row{500, "server_error", "bad_config", "api_error", false};
constexpr ErrorRow device_row{500, "server_error", "device_failed", "api_error", true};
constexpr ErrorRow internal_row{500, "server_error", "internal", "api_error", false};

}  // namespace

const ErrorRow& error_row(Errc code) {
    switch (code) {
        case Errc::invalid_request:
            return invalid_request_row;
        case Errc::context_length_exceeded:
            return context_length_row;
        case Errc::unsupported_parameter:
            return unsupported_row;
        case Errc::unauthorized:
            return unauthorized_row;
        case Errc::forbidden:
            return forbidden_row;
        case Errc::not_found:
            return not_found_row;
        case Errc::method_not_allowed:
            return method_row;
        case Errc::model_not_found:
            return model_row;
        case Errc::request_too_large:
            return too_large_row;
        case Errc::request_timeout:
            return request_timeout_row;
        case Errc::over_budget:
            return over_budget_row;
        case Errc::budget_spent:
            return budget_spent_row;
        case Errc::rate_limited:
            return rate_limited_row;
        case Errc::upstream_rejected:
            return rejected_row;
        case Errc::upstream_failed:
            return failed_row;
        case Errc::upstream_auth:
            return auth_row;
        case Errc::no_upstream:
            return no_upstream_row;
        case Errc::timed_out:
            return timed_out_row;
        case Errc::cancelled:
            return cancelled_row;
        case Errc::overloaded:
            return overloaded_row;
        case Errc::price_unknown:
            return price_row;
        case Errc::bad_file:
            return file_row;
        case Errc::bad_config:
            return config_row;
        case Errc::device_failed:
            return device_row;
        case Errc::internal:
            return internal_row;
    }
    return internal_row;
}

std::string_view errc_name(Errc code) {
    // The codes are the names, but for those where OpenAI's wire says it otherwise.
    if (code == Errc::invalid_request) return "invalid_request";
    if (code == Errc::unauthorized) return "unauthorized";
    if (code == Errc::over_budget) return "over_budget";
    if (code == Errc::budget_spent) return "budget_spent";
    if (code == Errc::rate_limited) return "rate_limited";
    return error_row(code).openai_code;
}

}  // namespace sluice
