#include "gateway/plain_body.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {

namespace {

constexpr std::size_t request_head_bytes = 512;  // what most need

}  // namespace

struct PlainBody::Lookup {
    PlainBody* body;
};

PlainBody::PlainBody(PlainTransport& transport, HttpCall call)
    : transport_(&transport),
      io_(transport.io_),
      call_(std::move(call)),
      host_(host_of(call_.url)) {}

PlainBody::~PlainBody() {
    drop_connection();
    if (transport_ != nullptr) transport_->live_.erase(this);
}

bool PlainBody::read_url() {
    std::string_view url = call_.url;
    if (!url.starts_with("http://")) return false;
    url.remove_prefix(7);
    std::size_t slash = host_bytes(url);
    if (slash != host_.size() || slash == 0) return false;  // a user and password before the host
    target_ = url.substr(slash, url.find('#') - slash);
    if (!target_.starts_with('/')) target_.insert(0, "/");
    auto unfit = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F; };
    return std::none_of(url.begin(), url.end(), unfit);
}

bool PlainBody::read_host() {
    std::size_t bracket = host_.find(']');
    std::size_t colon = host_.find(':', bracket == std::string::npos ? 0 : bracket);
    name_ = host_.substr(0, colon);
    port_ = colon == std::string::npos ? "80" : host_.substr(colon + 1);
    if (name_.starts_with('[') && name_.ends_with(']')) name_ = name_.substr(1, name_.size() - 2);
    return !name_.empty() && !port_.empty();
}

void PlainBody::fail_url() {
    fail(Error(Errc::upstream_failed,
               host_ + ": this URL is not supported; expected http://host:port/path"));
}

void PlainBody::begin() {
    if (has_line_break(call_.headers)) return fail(line_break_in_key(host_));
    if (!read_url()) return fail_url();
    connection_ = transport_->take_idle(host_);
    if (!connection_) return connect();
    connection_->user = this;
    begin_send();
}

void PlainBody::connect() {
    if (!read_host()) return fail_url();
    connection_ = std::make_shared<PlainConnection>(*transport_, host_);
    connection_->user = this;
    connect_by_ = Clock::now() + std::chrono::milliseconds(call_.connect_ms);
    addresses_.clear();
    boost::system::error_code error;
    auto address = net::ip::make_address(name_, error);
    if (error) return look_up();
    auto port = static_cast<std::uint16_t>(std::strtoul(port_.c_str(), nullptr, 10));
    addresses_.emplace_back(address, port);
    connect_next("");
}

void PlainBody::look_up() {
    stage_ = Stage::looking_up;
    address_by_ = connect_by_;
    update_deadline();
    lookup_ = std::make_shared<Lookup>(Lookup{this});
    using Results = net::ip::tcp::resolver::results_type;
    auto found = [lookup = lookup_](const boost::system::error_code& error, Results results) {
        PlainBody* body = lookup->body;
        if (body == nullptr) return;
        for (const auto& result : results) body->addresses_.push_back(result.endpoint());
        std::reverse(body->addresses_.begin(), body->addresses_.end());
        body->connect_next(error ? error.message() : "the name has no address");
        body->wakeup_.wake();
    };
    transport_->resolver_.async_resolve(name_, port_, std::move(found));
}

// Tries the next address; each but the last may take half of the time that is left.
void PlainBody::connect_next(const std::string& why_not) {
    std::string why = why_not;
    while (!addresses_.empty()) {
        auto address = addresses_.back();
        addresses_.pop_back();
        auto now = Clock::now();
        address_by_ = addresses_.empty() ? connect_by_ : now + (connect_by_ - now) / 2;
        stage_ = Stage::connecting;
        if (connection_->begin_connect(address)) return update_deadline();
        why = std::strerror(errno);
    }
    fail(Error(Errc::upstream_failed, host_ + ": cannot connect: " + why));
}

void PlainBody::connected() {
    int error = connection_->connect_error();
    if (error != 0) return connect_next(std::strerror(error));
    address_by_ = Clock::time_point::max();
    update_deadline();
    begin_send();
}

void PlainBody::begin_send() {
    std::string& head = request_head_;
    head.reserve(request_head_bytes);
    head = "POST ";
    head += target_;
    head += " HTTP/1.1\r\nHost: ";
    head += host_;
    head += "\r\nUser-Agent: sluice\r\n";
    for (const std::string& header : call_.headers) {
        head += header;
        head += "\r\n";
    }
    head += "Content-Length: " + std::to_string(call_.body.size()) + "\r\n\r\n";
    sent_bytes_ = 0;
    stage_ = Stage::sending;
    send();
}

void PlainBody::send() {
    std::size_t total = request_head_.size() + call_.body.size();
    while (sent_bytes_ < total) {
        std::string_view head = request_head_;
        std::string_view body = call_.body;
        std::size_t of_head = std::min(sent_bytes_, head.size());
        ssize_t size = connection_->send(head.substr(of_head), body.substr(sent_bytes_ - of_head));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return connection_->watch_writable();
        if (size < 0) break;  // it may still have answered: receive() tells
        sent_ = true;
        sent_bytes_ += static_cast<std::size_t>(size);
    }
    stage_ = Stage::receiving;
    if (sent_bytes_ == total) connection_->watch();
}

void PlainBody::receive() {
    ssize_t size = connection_->receive();
    if (size < 0 && errno == EINTR) return;
    if (size < 0 && errno == EAGAIN) return connection_->watch();
    if (size < 0) return lose_connection(std::strerror(errno));
    if (size == 0) {
        auto ended = reader_.end();
        if (!ended) return lose_connection(ended.error().message);
        return end_answer();
    }
    auto& input = transport_->input_;
    take(std::string_view(input.data(), static_cast<std::size_t>(size)));
    // Never two reads in a row: a peer that is always faster must leave the thread its other work.
    if (stage_ == Stage::receiving) connection_->watch();
}

void PlainBody::take(std::string_view bytes) {
    std::size_t before = bytes_.size();
    auto fed = reader_.feed(bytes, bytes_);
    received_ += bytes_.size() - before;
    if (call_.answer_bytes_max != 0 && received_ > call_.answer_bytes_max) {
        bytes_.clear();
        return fail(over_body_limit(host_, call_.answer_bytes_max));
    }
    if (!fed) return fail(Error(Errc::upstream_failed, host_ + ": " + fed.error().message));
    if (reader_.done()) end_answer();
}

void PlainBody::end_answer() {
    stage_ = Stage::ended;
    if (!reader_.reusable()) return drop_connection();
    transport_->keep(std::move(connection_));
}

void PlainBody::lose_connection(const std::string& why) {
    Error error(Errc::upstream_failed, host_ + ": " + why);
    error.kept_connection_lost = connection_->used_before && !reader_.begun();
    fail(std::move(error));
}

void PlainBody::fail(Error error) {
    if (!failure_) failure_ = std::move(error);
    stage_ = Stage::ended;
    drop_connection();
}

void PlainBody::drop_connection() {
    if (lookup_) std::exchange(lookup_, nullptr)->body = nullptr;
    address_by_ = Clock::time_point::max();
    if (!connection_) return;
    connection_->user = nullptr;
    connection_->close();
    connection_.reset();
}

void PlainBody::update_deadline() {
    auto nearest = std::min(address_by_, wait_by_);
    if (connection_ && nearest != Clock::time_point::max()) connection_->set_deadline(nearest);
}

// Called by the connection. What wakes the reader comes last: the reader may destroy this.
void PlainBody::ready() {
    if (stage_ == Stage::connecting) {
        connected();
    } else if (stage_ == Stage::sending) {
        send();
    }
    if (leaving_) return drain();
    wakeup_.wake();
}

void PlainBody::late() {
    auto now = Clock::now();
    if (now >= address_by_) {
        std::string limit =
            "no connection in time (connect_ms is " + std::to_string(call_.connect_ms) + ")";
        if (stage_ == Stage::connecting && !addresses_.empty()) {
            connect_next(limit);
        } else {
            fail(Error(Errc::timed_out, host_ + ": " + limit));
        }
    } else {
        expired_ = now >= wait_by_;
        update_deadline();
    }
    if (leaving_ && (expired_ || failure_)) {
        transport_->leaving_.erase(this);  // destroys this
        return;
    }
    wakeup_.wake();
}

net::awaitable<bool> PlainBody::wait(Deadline deadline) {
    if (Clock::now() >= deadline.at) co_return false;
    wait_by_ = deadline.at;
    expired_ = false;
    update_deadline();
    co_await wakeup_.wait();
    wait_by_ = Clock::time_point::max();
    co_return !expired_;
}

net::awaitable<Result<ResponseHead>> PlainBody::head(Deadline deadline) {
    for (;;) {
        if (stage_ == Stage::receiving && !reader_.headed()) receive();
        if (reader_.headed()) co_return reader_.head();
        if (failure_) co_return *failure_;
        bool woken = co_await wait(deadline);
        if (!woken) co_return deadline_passed(host_, deadline);
    }
}

net::awaitable<Status> PlainBody::next(std::string& bytes, Deadline deadline) {
    bytes.clear();
    for (;;) {
        if (stage_ == Stage::receiving && bytes_.empty()) receive();
        if (!bytes_.empty()) {
            bytes.swap(bytes_);
            co_return Done();
        }
        if (failure_) co_return *failure_;
        if (stage_ == Stage::ended) co_return Done();
        bool woken = co_await wait(deadline);
        if (!woken) co_return deadline_passed(host_, deadline);
    }
}

void PlainBody::give_up() {
    bytes_.clear();
    fail(call_given_up(host_));
    wakeup_.wake_later(io_);
}

void PlainBody::cancel() {
    if (stage_ != Stage::ended) give_up();
}

void PlainBody::transport_ended() {
    if (stage_ != Stage::ended) give_up();
    transport_ = nullptr;
}

void PlainBody::go_on_alone(std::unique_ptr<BodyStream> self) {
    if (transport_ == nullptr || stage_ == Stage::ended) return;
    leaving_ = true;
    received_ = 0;
    bytes_.clear();
    expired_ = false;
    wait_by_ = Clock::now() + leaving_max;
    update_deadline();
    transport_->leaving_.emplace(this, std::move(self));
    drain();
}

// Reads and drops what is left of an answer that nobody reads any more.
void PlainBody::drain() {
    while (stage_ == Stage::receiving && !connection_->watching()) {
        receive();
        bytes_.clear();
        if (received_ > leaving_bytes_max) break;
    }
    bool over = received_ > leaving_bytes_max;
    if (over || stage_ == Stage::ended) transport_->leaving_.erase(this);  // destroys this
}

}  // namespace sluice
