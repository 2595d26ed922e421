// Result<T>: a value or an Error. The error type of every call that can fail in normal service.
// Member names follow std::expected. Default-constructible because Asio's co_spawn and || need it.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace sluice {

// Closed set: a switch over it has no default. providers/error_table.h maps each to HTTP status,
// the dialects' error types, and whether another attempt may help.
enum class Errc {
    invalid_request,          // the caller's JSON or a field's type or value is wrong
    context_length_exceeded,  // the prompt does not fit the model's window
    unsupported_parameter,    // understood, but nothing on the route can honour it
    unauthorized,             // no key, or an unknown one
    forbidden,                // known key, not allowed to do this
    not_found,                // no such path
    method_not_allowed,       // path exists, method does not
    model_not_found,          // no such model, tier, upstream or alias
    request_too_large,        // header or body over its limit
    request_timeout,          // the client was too slow sending its request
    over_budget,              // money: what the caller allows for this request
    budget_spent,             // money: what the caller's budgets have left
    rate_limited,             // requests or tokens per minute; ours or an upstream's 429
    upstream_rejected,        // the upstream says the request itself is wrong (4xx)
    upstream_failed,          // connect error, reset, 5xx, malformed answer
    upstream_auth,            // the upstream refuses our credential
    no_upstream,              // the route has no upstream that can take the call now
    timed_out,                // a deadline passed
    cancelled,                // the client left or shutdown
    overloaded,               // a queue of ours is full
    price_unknown,            // fails closed
    bad_file,                 // a model or data file is corrupt, truncated or unsupported
    bad_config,               // configuration or policy
    device_failed,            // CUDA error, lost device, NaN in logits
    internal,                 // our bug
};

struct Error {
    Errc code = Errc::internal;
    std::string message;     // what was wrong and what would be right; shown to the caller
    std::string param;       // the request field at fault, when there is one
    int retry_after_ms = 0;  // > 0: the peer asked us to wait this long
    // A kept connection broke before any byte of the answer: the peer had most likely closed it
    // before, so the same peer may be asked once more, as an attempt of its own.
    bool kept_connection_lost = false;
    Error(Errc code_in, std::string message_in, std::string param_in = {})
        : code(code_in), message(std::move(message_in)), param(std::move(param_in)) {}
};

template <class T>
class [[nodiscard]] Result {
public:
    Result() : Result(Error(Errc::internal, "result was never set")) {}
    Result(const T& value) : state_(std::in_place_index<0>, value) {}
    Result(T&& value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(const Error& error) : state_(std::in_place_index<1>, error) {}
    Result(Error&& error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const noexcept { return has_value(); }
    bool has_value() const noexcept { return state_.index() == 0; }

    T& operator*() & {
        assert(has_value());
        return *std::get_if<0>(&state_);
    }
    const T& operator*() const& {
        assert(has_value());
        return *std::get_if<0>(&state_);
    }
    T&& operator*() && {
        assert(has_value());
        return std::move(*std::get_if<0>(&state_));
    }
    T* operator->() {
        assert(has_value());
        return std::get_if<0>(&state_);
    }
    const T* operator->() const {
        assert(has_value());
        return std::get_if<0>(&state_);
    }
    const Error& error() const& {
        assert(!has_value());
        return *std::get_if<1>(&state_);
    }
    Error&& error() && {
        assert(!has_value());
        return std::move(*std::get_if<1>(&state_));
    }

private:
    std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace sluice
