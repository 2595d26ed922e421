#include "gateway/endpoints.h"

#include <ctime>

#include "engine/log.h"
#include "gateway/admin_policy.h"
#include "gateway/chat_reply.h"
#include "gateway/learning/endpoints.h"
#include "gateway/learning/learning.h"
#include "providers/error_table.h"

namespace sluice {
namespace {

const Dialect& dialect_of(std::string_view path) {
    const Dialect* anthropic = find_dialect("anthropic_messages");
    if (path.starts_with("/v1/messages") && anthropic != nullptr) return *anthropic;
    return *find_dialect("openai_chat");
}

net::awaitable<void> send_plain_error(Reply& reply, const HttpRequest& http, const Error& error) {
    std::string body = dialect_of(http.path).write_error(error, http.request_id);
    Headers headers;
    if (error.code == Errc::method_not_allowed)
        headers.emplace_back("allow", http.path.starts_with("/v1/chat") ? "POST" : "GET");
    int status = error_row(error.code).status;
    co_await reply.send(status, "application/json", headers, body);
}

void append_model(std::string& out, std::string_view id, std::string_view owner) {
    if (out.back() != '[') out += ',';
    out += "{\"id\":";
    append_json_string(out, id);
    out += ",\"object\":\"model\",\"created\":0,\"owned_by\":";
    append_json_string(out, owner);
    out += '}';
}

// auto, the tiers, the callable upstreams and the aliases, in OpenAI's list form.
net::awaitable<void> serve_models(const Seat& seat, const HttpRequest& http, Reply& reply) {
    SnapshotPtr snapshot = seat.snapshot;
    const Config& config = *snapshot->config;
    auto caller = config.keys.authenticate(credential_of(http), http.from_loopback);
    if (!caller) co_return co_await send_plain_error(reply, http, caller.error());
    std::string body = "{\"object\":\"list\",\"data\":[";
    append_model(body, "auto", "sluice");
    for (const PolicyTier& tier : config.policy.tiers) append_model(body, tier.name, "sluice");
    for (const Upstream& one : config.upstreams) append_model(body, one.name, one.vendor.name);
    for (const auto& [alias, _] : config.policy.aliases) append_model(body, alias, "sluice");
    body += "]}";
    Headers headers;
    co_await reply.send(200, "application/json", headers, body);
}

net::awaitable<void> serve_ready(Gateway& gateway, Reply& reply) {
    bool ready = gateway.ledger.healthy();
    int status = 200;
    std::string body = "{\"status\":\"ready\"}";
    if (!ready) {
        status = 503;
        body = "{\"status\":\"not ready\",\"reason\":\"the ledger cannot be written\"}";
    }
    Headers headers;
    co_await reply.send(status, "application/json", headers, body);
}

net::awaitable<void> serve_metrics(Gateway& gateway, const Seat& seat, Reply& reply) {
    SnapshotPtr snapshot = seat.snapshot;
    MetricsGauges gauges;
    gauges.ledger_queue_entries = gateway.ledger.queued();
    gauges.engine = gateway.fleet.engine_now();
    for (const UpstreamView& view : Fleet::view(*snapshot, Clock::now(), gauges.engine))
        gauges.upstream_up.emplace_back(view.upstream->name, view.up);
    gauges.held = gateway.budgets.held();
    for (const BudgetNow& one : budgets_now(snapshot->budgets(), std::time(nullptr)))
        gauges.budgets.push_back({one.budget->scope(), one.budget->limit, one.spent, one.held});
    if (gateway.learning != nullptr) gauges.learning = gateway.learning->now();
    const Config& config = *snapshot->config;
    gauges.paced = config.policy.pace.active();
    gauges.pace_shift = gateway.pace.shift();
    gauges.pace_forecast = gateway.pace.forecast();
    gauges.policies.push_back({config.policy.version, config.policy.owner, "live"});
    if (const auto& trial = config.candidate)
        gauges.policies.push_back(
            {trial->policy.version, trial->policy.owner, trial->shadow ? "shadow" : "canary"});
    gauges.policy_damage = gateway.policy_damage.load()->size();
    if (snapshot->config->engine) gauges.gpu_hour = snapshot->config->engine->gpu_hour;
    std::string body = gateway.metrics.text(gauges);
    Headers headers;
    co_await reply.send(200, "text/plain; version=0.0.4; charset=utf-8", headers, body);
}

net::awaitable<void> serve_admin_policy(Gateway& gateway, const Seat& seat, const HttpRequest& http,
                                        Reply& reply) {
    SnapshotPtr snapshot = seat.snapshot;
    const KeyRing& keys = snapshot->config->keys;
    auto caller = keys.authenticate_administrator(credential_of(http), http.from_loopback);
    if (!caller) co_return co_await send_plain_error(reply, http, caller.error());
    auto damaged = gateway.policy_damage.load();
    std::string body = admin_policy_json(*snapshot, gateway.pace, *damaged, std::time(nullptr));
    Headers headers;
    co_await reply.send(200, "application/json", headers, body);
}

Error wrong_path(const HttpRequest& http, std::string_view method) {
    if (!method.empty())
        return Error(Errc::method_not_allowed, http.method + " is not allowed on " + http.path +
                                                   ", use " + std::string(method));
    return Error(Errc::not_found,
                 "no such path: " + http.path +
                     "; there are POST /v1/chat/completions, POST /v1/messages, GET /v1/models, "
                     "POST /v1/feedback, "
                     "GET /healthz, GET /readyz, GET /metrics, GET /admin/policy");
}

}  // namespace

net::awaitable<void> serve_request(Gateway& gateway, Seat& seat, const HttpRequest& http,
                                   Reply& reply) {
    bool chat = http.path == "/v1/chat/completions" || http.path == "/v1/messages";
    if (chat && http.method == "POST")
        co_return co_await serve_chat(gateway, seat, dialect_of(http.path), http, reply);
    if (learning_path(http)) co_return co_await serve_learning(gateway, seat, http, reply);
    bool get = http.method == "GET" || http.method == "HEAD";
    if (get && http.path == "/v1/models") co_return co_await serve_models(seat, http, reply);
    if (get && http.path == "/readyz") co_return co_await serve_ready(gateway, reply);
    if (get && http.path == "/metrics") co_return co_await serve_metrics(gateway, seat, reply);
    if (get && http.path == "/admin/policy")
        co_return co_await serve_admin_policy(gateway, seat, http, reply);
    if (get && http.path == "/healthz") {
        Headers headers;
        std::string body = "{\"status\":\"ok\"}";
        co_await reply.send(200, "application/json", headers, body);
        co_return;
    }
    std::string_view method;
    if (chat) method = "POST";
    for (std::string_view path : {"/v1/models", "/readyz", "/metrics", "/healthz", "/admin/policy"})
        if (http.path == path) method = "GET";
    Error error = wrong_path(http, method);
    co_await send_plain_error(reply, http, error);
}

}  // namespace sluice
