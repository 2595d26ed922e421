#include "benchmarks/upstream_sim/session.h"

#include <simdjson.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <chrono>
#include <cmath>

#include "engine/log.h"

namespace sluice::sim {

namespace {

using net::ip::tcp;
constexpr auto use_tuple = net::as_tuple(net::use_awaitable);
constexpr std::size_t planned_max = 1'024;
constexpr std::string_view json_type = "application/json";

std::string number_text(double number) {
    char text[32];
    auto [end, ec] = std::to_chars(text, text + sizeof text, number);
    return std::string(text, end);
}

// The value of `name` in a query string, or `otherwise`.
std::int64_t query_number(std::string_view query, std::string_view name, std::int64_t otherwise) {
    while (!query.empty()) {
        std::size_t end = std::min(query.find('&'), query.size());
        std::string_view part = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (!part.starts_with(name) || part.substr(name.size(), 1) != "=") continue;
        part.remove_prefix(name.size() + 1);
        std::from_chars(part.data(), part.data() + part.size(), otherwise);
        return otherwise;
    }
    return otherwise;
}

std::string call_headers(std::uint64_t number) {
    std::string id = "req_sim" + std::to_string(number);
    return "x-request-id: " + id + "\r\nrequest-id: " + id + "\r\n";
}

std::int64_t pace_us(double ms) { return std::llround(ms * 1000); }

// What one call's answer needs while it goes out.
struct Sending {
    tcp::socket& socket;
    const Wire& wire;
    const Answer& answer;
    const Behaviour& behaviour;
    std::string headers;
    std::int64_t tokens = 0;  // sent
    bool whole = false;       // all of it went out
    bool broken = false;      // it was broken off on purpose
};

// Sends nothing more, and waits until the client leaves (which ends this coroutine).
net::awaitable<void> stall() {
    for (;;) co_await wait_us(hour_us);
}

// Breaks the stream as asked; what follows is the end of the connection, where there is one.
net::awaitable<void> break_off(Sending& sending) {
    sending.broken = true;
    switch (sending.behaviour.cut) {
        case Cut::stall: {
            co_await stall();
            break;
        }
        case Cut::malformed: {
            std::string event = chunk_of(sending.wire.malformed_event()) + chunk_of("");
            co_await write_all(sending.socket, event);
            break;
        }
        case Cut::error: {
            std::string event = chunk_of(sending.wire.error_event()) + chunk_of("");
            co_await write_all(sending.socket, event);
            break;
        }
        case Cut::none:
        case Cut::reset:
        case Cut::close:
            break;
    }
}

net::awaitable<void> send_stream(Sending& sending) {
    const Answer& answer = sending.answer;
    std::string_view type = sending.behaviour.wrong_type ? "text/html" : "text/event-stream";
    std::string head = stream_head(type, sending.headers);
    bool sent = co_await write_all(sending.socket, head);
    if (!sent) co_return;
    co_await wait_us(pace_us(sending.behaviour.first_token_ms));
    std::string opened = chunk_of(sending.wire.open(answer));
    sent = co_await write_all(sending.socket, opened);
    for (std::size_t i = 0; sent && i < answer.pieces.size(); ++i) {
        if (sending.behaviour.cut_after == static_cast<std::int64_t>(i)) {
            co_await break_off(sending);
            co_return;
        }
        if (i > 0 && sending.behaviour.inter_token_ms > 0) {
            co_await wait_us(pace_us(sending.behaviour.inter_token_ms));
        }
        std::string piece = chunk_of(sending.wire.piece(answer, i));
        sent = co_await write_all(sending.socket, piece);
        if (sent) ++sending.tokens;
    }
    if (!sent) co_return;
    std::string closed = chunk_of(sending.wire.close(answer)) + chunk_of("");
    sending.whole = co_await write_all(sending.socket, closed);
}

net::awaitable<void> send_whole(Sending& sending) {
    const Behaviour& behaviour = sending.behaviour;
    double tokens = static_cast<double>(sending.answer.pieces.size());
    co_await wait_us(pace_us(behaviour.first_token_ms + behaviour.inter_token_ms * tokens));
    std::string body = sending.wire.whole(sending.answer);
    if (behaviour.cut == Cut::malformed) body.resize(body.size() / 2);
    std::string bytes =
        whole_answer(200, behaviour.wrong_type ? "text/html" : json_type, sending.headers, body);
    sending.broken = behaviour.cut != Cut::none;
    if (sending.broken && behaviour.cut != Cut::malformed) bytes.resize(bytes.size() / 2);
    bool sent = co_await write_all(sending.socket, bytes);
    if (sent) sending.tokens = sending.answer.out_total;
    sending.whole = sent && !sending.broken;
    if (behaviour.cut == Cut::stall) co_await stall();
}

net::awaitable<void> send_refusal(Sending& sending) {
    const Behaviour& behaviour = sending.behaviour;
    co_await wait_us(pace_us(behaviour.first_token_ms));
    std::string headers = sending.headers;
    if (behaviour.retry_after_s >= 0) {
        headers += "retry-after: " + number_text(behaviour.retry_after_s) + "\r\n";
    }
    std::string body = sending.wire.refusal(behaviour.status, "A simulated refusal.");
    std::string bytes = whole_answer(behaviour.status, json_type, headers, body);
    sending.broken = true;
    co_await write_all(sending.socket, bytes);
}

net::awaitable<void> send(Sending& sending, bool stream) {
    const Behaviour& behaviour = sending.behaviour;
    bool before_head = behaviour.cut_after < 0 && behaviour.cut != Cut::none &&
                       (stream || behaviour.cut != Cut::malformed) && behaviour.cut != Cut::error;
    if (before_head) {
        co_await wait_us(pace_us(behaviour.first_token_ms));
        if (behaviour.cut != Cut::malformed) {
            co_await break_off(sending);
            co_return;
        }
    }
    if (behaviour.status != 0) {
        co_await send_refusal(sending);
    } else if (stream) {
        co_await send_stream(sending);
    } else {
        co_await send_whole(sending);
    }
}

}  // namespace

Simulator::Simulator(const net::any_io_executor& executor, Behaviour defaults)
    : defaults_(std::move(defaults)), changed_(executor, net::steady_timer::time_point::max()) {}

net::awaitable<void> Simulator::serve(tcp::socket socket) {
    ++stats_.connections;
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    std::string buffer;
    for (;;) {
        std::optional<Request> request = co_await read_request(socket, buffer);
        if (!request) co_return;
        End end = co_await answer(socket, *request);
        if (end == End::reset) {
            socket.set_option(net::socket_base::linger(true, 0), ignored);
            socket.close(ignored);  // here: the destructor would not send a reset
        }
        if (end != End::keep || !request->keep_alive) co_return;
    }
}

net::awaitable<Simulator::End> Simulator::answer(tcp::socket& socket, const Request& request) {
    bool post = request.method == "POST";
    if (post && request.path == "/v1/chat/completions") {
        End end = co_await serve_call(socket, request, openai_wire());
        co_return end;
    }
    if (post && request.path == "/v1/messages") {
        End end = co_await serve_call(socket, request, anthropic_wire());
        co_return end;
    }
    if (request.path == "/sim/wait") {
        End end = co_await wait_for(socket, request);
        co_return end;
    }
    int status = 200;
    std::string body;
    if (request.path == "/healthz") {
        body = "{\"status\":\"ok\",\"simulated\":true}";
    } else if (request.path == "/v1/models") {
        body =
            "{\"object\":\"list\",\"data\":["
            "{\"id\":\"sim-reasoner\",\"object\":\"model\",\"created\":0,\"owned_by\":"
            "\"simulated\"},{\"id\":\"sim-frontier\",\"object\":\"model\",\"created\":0,"
            "\"owned_by\":\"simulated\"}]}";
    } else if (request.path == "/sim/stats") {
        body = stats_json();
    } else if (post && request.path == "/sim/faults") {
        body = plan_faults(request, status);
    } else {
        status = 404;
        body = openai_wire().refusal(404, "The simulator does not serve " + request.path + ".");
    }
    std::string bytes = whole_answer(status, json_type, "", body);
    bool sent = co_await write_all(socket, bytes);
    co_return sent ? End::keep : End::close;
}

net::awaitable<Simulator::End> Simulator::serve_call(tcp::socket& socket, const Request& request,
                                                     const Wire& wire) {
    using net::experimental::awaitable_operators::operator||;
    ++stats_.requests;
    ++stats_.open;
    std::string headers = call_headers(++answers_);
    Result<Call> call = wire.read(request.body);
    Result<Behaviour> behaviour = call ? behaviour_for(request, *call) : call.error();
    std::optional<Error> refused;
    if (!behaviour) refused = behaviour.error();
    if (&wire == &anthropic_wire() && request.header("anthropic-version").empty()) {
        refused = Error(Errc::invalid_request, "anthropic-version: header is required");
    }
    if (refused) {
        --stats_.open;
        ++stats_.completed;
        changed();
        std::string bytes =
            whole_answer(400, json_type, headers, wire.refusal(400, refused->message));
        bool sent = co_await write_all(socket, bytes);
        co_return sent ? End::keep : End::close;
    }
    changed();
    Answer planned = plan_answer(*call, *behaviour, answers_);
    Sending sending{socket, wire, planned, *behaviour, headers};
    auto first = co_await (send(sending, call->stream) || peer_left(socket));
    bool client_left = first.index() == 1;
    --stats_.open;
    stats_.tokens += sending.tokens;
    if (sending.whole) {
        ++stats_.completed;
    } else if (sending.broken) {
        ++stats_.faulted;
        if (client_left) ++stats_.aborted;
    } else {
        ++stats_.aborted;
    }
    changed();
    if (sending.whole || (behaviour->status != 0 && !client_left)) co_return End::keep;
    co_return behaviour->cut == Cut::reset ? End::reset : End::close;
}

// The defaults, then a planned fault, then x-sim, then the prompt.
Result<Behaviour> Simulator::behaviour_for(const Request& request, const Call& call) {
    Behaviour behaviour = defaults_;
    for (auto at = planned_.begin(); at != planned_.end(); ++at) {
        if (!at->model.empty() && at->model != call.model) continue;
        Status applied = apply_directive(behaviour, at->directive);
        if (!applied) return applied.error();
        if (--at->left == 0) planned_.erase(at);
        break;
    }
    for (std::string_view directive :
         {request.header("x-sim"), find_directive(call.last_user_text)}) {
        Status applied = apply_directive(behaviour, directive);
        if (!applied) return applied.error();
    }
    return behaviour;
}

std::string Simulator::plan_faults(const Request& request, int& status) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view directive;
    if (parser.parse(request.body).get(root) != simdjson::SUCCESS) {
        status = 400;
        return openai_wire().refusal(400, "expected {\"directive\":\"fault=429\",\"count\":1}");
    }
    Planned planned;
    planned.left = 1;
    std::string_view model;
    if (root["directive"].get(directive) == simdjson::SUCCESS) planned.directive = directive;
    if (root["model"].get(model) == simdjson::SUCCESS) planned.model = model;
    if (root["count"].get(planned.left) != simdjson::SUCCESS) planned.left = 1;
    if (planned.left == 0) planned_.clear();
    Behaviour trial;
    Status understood = apply_directive(trial, planned.directive);
    if (!understood || planned_.size() >= planned_max) {
        status = 400;
        return openai_wire().refusal(
            400, understood ? "too many planned faults" : understood.error().message);
    }
    if (planned.left > 0) planned_.push_back(std::move(planned));
    return stats_json();
}

net::awaitable<Simulator::End> Simulator::wait_for(tcp::socket& socket, const Request& request) {
    using Clock = std::chrono::steady_clock;
    std::int64_t open = query_number(request.query, "open", INT64_MAX);
    std::int64_t requests = query_number(request.query, "requests", 0);
    std::int64_t aborted = query_number(request.query, "aborted", 0);
    std::int64_t tokens = query_number(request.query, "tokens", 0);
    auto end =
        Clock::now() + std::chrono::milliseconds(query_number(request.query, "timeout_ms", 10'000));
    auto met = [&] {
        return stats_.open <= open && stats_.requests >= requests && stats_.aborted >= aborted &&
               stats_.tokens >= tokens;
    };
    while (!met() && Clock::now() < end) {
        changed_.expires_at(end);
        co_await changed_.async_wait(use_tuple);
    }
    int status = met() ? 200 : 504;
    std::string bytes = whole_answer(status, json_type, "", stats_json());
    bool sent = co_await write_all(socket, bytes);
    co_return sent ? End::keep : End::close;
}

std::string Simulator::stats_json() const {
    std::string json = "{\"connections\":" + std::to_string(stats_.connections);
    json += ",\"requests\":" + std::to_string(stats_.requests);
    json += ",\"open\":" + std::to_string(stats_.open);
    json += ",\"completed\":" + std::to_string(stats_.completed);
    json += ",\"aborted\":" + std::to_string(stats_.aborted);
    json += ",\"faulted\":" + std::to_string(stats_.faulted);
    return json + ",\"tokens\":" + std::to_string(stats_.tokens) + "}";
}

}  // namespace sluice::sim
