#include "gateway/learning/endpoints.h"

#include "engine/log.h"
#include "gateway/chat_reply.h"
#include "gateway/learning/learning.h"
#include "providers/error_table.h"
#include "providers/json_read.h"

namespace sluice {
namespace {

constexpr std::size_t feedback_bytes_max = 4'096;

struct Feedback {
    std::string request_id;
    std::string word;  // "up", "wrong", ...; for the answer
    OutcomeKind kind = OutcomeKind::score;
    double ok = -1;
    int words = 0;  // of the three forms, how many are given
};

struct Word {
    OutcomeKind kind;
    std::string_view said;
    double ok;
};
constexpr Word words[] = {{OutcomeKind::thumb, "up", 1},
                          {OutcomeKind::thumb, "down", 0},
                          {OutcomeKind::label, "right", 1},
                          {OutcomeKind::label, "partly", 0.5},
                          {OutcomeKind::label, "wrong", 0}};

Error invalid(std::string message, std::string param) {
    return Error(Errc::invalid_request, std::move(message), std::move(param));
}

Status read_word(JsonReader& json, JsonValue value, const JsonPath& path, OutcomeKind kind,
                 Feedback& out) {
    std::string said, known;
    Status read = json.text(value, path, said);
    if (!read) return read;
    for (const Word& one : words) {
        if (one.kind != kind) continue;
        known += (known.empty() ? "" : ", ") + std::string(one.said);
        if (one.said != said) continue;
        out.kind = kind;
        out.ok = one.ok;
        return Done{};
    }
    return json.wrong(path, "expected one of " + known);
}

Result<Feedback> read_feedback(const std::string& body) {
    if (body.size() > feedback_bytes_max)
        return Error(Errc::request_too_large,
                     "feedback has " + std::to_string(body.size()) + " bytes, at most " +
                         std::to_string(feedback_bytes_max) +
                         " are taken: a request's id and one word or number, no text");
    Feedback out;
    JsonReader json(body, Errc::invalid_request);
    Status read = json.root([&](std::string_view key, JsonValue value) -> Status {
        JsonPath path{nullptr, key, -1};
        if (key == "request_id") return json.text(value, path, out.request_id);
        if (key == "score") {
            ++out.words;
            out.kind = OutcomeKind::score;
            return json.number(value, path, 0, 1, out.ok);
        }
        if (key == "thumb" || key == "label") {
            ++out.words;
            auto kind = key == "thumb" ? OutcomeKind::thumb : OutcomeKind::label;
            return read_word(json, value, path, kind, out);
        }
        return invalid("unknown field '" + std::string(key.substr(0, 40)) +
                           "': there are request_id, thumb, score and label; no text is kept",
                       std::string(key.substr(0, 40)));
    });
    if (!read) return read.error();
    if (out.request_id.empty())
        return invalid("missing 'request_id': the x-request-id of the answer", "request_id");
    if (out.words != 1)
        return invalid(
            "expected exactly one of 'thumb' (up, down), 'score' (0 to 1) and 'label' "
            "(right, partly, wrong)",
            "score");
    return out;
}

const Dialect& dialect_for(const HttpRequest& http) {
    const Dialect* anthropic = find_dialect("anthropic_messages");
    bool speaks_it = http.path == "/v1/feedback" && !http.header("anthropic-version").empty();
    return speaks_it && anthropic != nullptr ? *anthropic : *find_dialect("openai_chat");
}

net::awaitable<void> send_error(Reply& reply, const HttpRequest& http, const Error& error) {
    std::string body = dialect_for(http).write_error(error, http.request_id);
    Headers headers;
    if (error.code == Errc::method_not_allowed) {
        bool get = http.path == "/admin/router" || http.path == "/admin/router/export";
        headers.emplace_back("allow", get ? "GET" : "POST");
    }
    co_await reply.send(error_row(error.code).status, "application/json", headers, body);
}

std::string_view learned_words(Learned learned) {
    switch (learned) {
        case Learned::yes:
        case Learned::promoted:
        case Learned::rolled_back:
            return "";
        case Learned::key_enough:
            return "this key's labels of the day are used up";
        case Learned::team_enough:
            return "this team's labels of the day are used up";
        case Learned::key_share:
            return "too many of all labels of late are this key's: others have to speak, too "
                   "(labels_share_per_key)";
        case Learned::team_share:
            return "too many of all labels of late are this team's: others have to speak, too "
                   "(labels_share_per_team)";
        case Learned::repeated:
            return "the same question has taught enough today";
    }
    return "";
}

std::string noted_json(const OutcomeNoted& noted) {
    if (noted.what == OutcomeNoted::What::already)
        return "{\"recorded\":false,\"learned\":false,\"why\":\"there is a word on this answer "
               "already, the first counts\"}";
    std::string out = "{\"recorded\":true,\"learned\":";
    out += noted.row.learned ? "true" : "false";
    std::string_view why = learned_words(noted.learned);
    if (noted.forgotten) why = "what was asked is forgotten: it is kept in the ledger only";
    if (!why.empty()) out += ",\"why\":\"" + std::string(why) + "\"";
    return out + "}";
}

net::awaitable<void> serve_feedback(Gateway& gateway, const Caller& caller, const HttpRequest& http,
                                    Reply& reply) {
    auto feedback = read_feedback(http.body);
    if (!feedback) {
        gateway.learning->count_malformed();
        co_return co_await send_error(reply, http, feedback.error());
    }
    OutcomeNoted noted =
        gateway.learning->note(caller, feedback->request_id, feedback->kind, feedback->ok);
    if (noted.what == OutcomeNoted::What::unknown) {
        auto past = co_await gateway.learning->past.find(caller, feedback->request_id);
        if (!past) co_return co_await send_error(reply, http, past.error());
        if (*past)
            noted = gateway.learning->note_past(caller, feedback->request_id, feedback->kind,
                                                feedback->ok, **past);
    }
    if (noted.what == OutcomeNoted::What::unknown) {
        gateway.learning->count(feedback->kind, Learning::Became::unknown);
        Error unknown(Errc::not_found,
                      "no answer of this team's with that request_id is remembered, nor among the "
                      "latest rows of the ledger: it is the x-request-id of an answer",
                      "request_id");
        co_return co_await send_error(reply, http, unknown);
    }
    std::string body = noted_json(noted);
    if (noted.what == OutcomeNoted::What::noted) {
        auto kept = co_await gateway.ledger.append(std::move(noted.row));
        if (!kept) co_return co_await send_error(reply, http, kept.error());
    }
    Headers headers;
    co_await reply.send(200, "application/json", headers, body);
}

net::awaitable<void> serve_export(Learning& learning, Reply& reply) {
    std::string bytes = learning.export_state();
    Headers headers;
    headers.emplace_back("content-disposition", "attachment; filename=\"learned.state\"");
    co_await reply.send(200, "application/octet-stream", headers, bytes);
}

net::awaitable<void> serve_report(const Learning& learning, Reply& reply) {
    std::string body = learning.report();
    Headers headers;
    co_await reply.send(200, "application/json", headers, body);
}

net::awaitable<void> serve_admin(Learning& learning, const HttpRequest& http, Reply& reply) {
    if (http.path == "/admin/router/export") co_return co_await serve_export(learning, reply);
    if (http.path == "/admin/router/import") {
        Status taken = learning.import_state(http.body);
        if (!taken) {
            Error refused = invalid(taken.error().message, "");
            co_return co_await send_error(reply, http, refused);
        }
    }
    if (http.path == "/admin/router/rollback") {
        if (!http.query.empty() && http.query != "to=shipped" && http.query != "to=before") {
            Error refused = invalid("expected ?to=before or ?to=shipped", "to");
            co_return co_await send_error(reply, http, refused);
        }
        if (!learning.roll_back(http.query == "to=shipped")) {
            Error refused = invalid("the shipped prior decides: there is nothing to roll back", "");
            co_return co_await send_error(reply, http, refused);
        }
    }
    learning.save_if_changed();  // what is acknowledged outlives the process
    co_await serve_report(learning, reply);
}

}  // namespace

bool learning_path(const HttpRequest& http) {
    return http.path == "/v1/feedback" || http.path == "/admin/router" ||
           http.path.starts_with("/admin/router/");
}

net::awaitable<void> serve_learning(Gateway& gateway, Seat& seat, const HttpRequest& http,
                                    Reply& reply) {
    SnapshotPtr snapshot = seat.snapshot;
    const KeyRing& keys = snapshot->config->keys;
    bool admin = http.path != "/v1/feedback";
    std::string_view given = credential_of(http);
    auto caller = admin ? keys.authenticate_administrator(given, http.from_loopback)
                        : keys.authenticate(given, http.from_loopback);
    if (!caller) co_return co_await send_error(reply, http, caller.error());
    bool get = http.path == "/admin/router" || http.path == "/admin/router/export";
    bool known = get || !admin || http.path == "/admin/router/import" ||
                 http.path == "/admin/router/rollback";
    if (!known || gateway.learning == nullptr) {
        std::string why = known ? "this gateway does not learn: its configuration has no section "
                                  "'learning'"
                                : "no such path: " + http.path;
        Error missing(Errc::not_found, why);
        co_return co_await send_error(reply, http, missing);
    }
    std::string_view method = get ? "GET" : "POST";
    if (http.method != method) {
        Error refused(Errc::method_not_allowed, http.method + " is not allowed on " + http.path +
                                                    ", use " + std::string(method));
        co_return co_await send_error(reply, http, refused);
    }
    if (admin) co_return co_await serve_admin(*gateway.learning, http, reply);
    co_await serve_feedback(gateway, *caller, http, reply);
}

}  // namespace sluice
