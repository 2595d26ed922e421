// One call of a PlainTransport. One io thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/http_response.h"
#include "gateway/plain_connection.h"
#include "gateway/wakeup.h"

namespace sluice {

class PlainBody final : public BodyStream {
public:
    PlainBody(PlainTransport& transport, HttpCall call);
    ~PlainBody() override;

    net::awaitable<Result<ResponseHead>> head(Deadline deadline) override;
    net::awaitable<Status> next(std::string& bytes, Deadline deadline) override;
    void cancel() override;
    bool sent() const override { return sent_; }

    void begin();
    void ready();  // the connection may be read or written
    void late();   // the connection's deadline has passed
    void transport_ended();

private:
    using Clock = std::chrono::steady_clock;
    enum class Stage { idle, looking_up, connecting, sending, receiving, ended };
    // What a name lookup in flight writes into; `body` is null once nobody wants it.
    struct Lookup;

    void go_on_alone(std::unique_ptr<BodyStream> self) override;
    bool read_url();
    bool read_host();
    void fail_url();
    void connect();
    void look_up();
    void connect_next(const std::string& why_not);
    void connected();
    void begin_send();
    void send();
    void receive();
    void take(std::string_view bytes);
    void drain();
    void lose_connection(const std::string& why);
    void end_answer();
    void fail(Error error);
    void give_up();
    void drop_connection();
    void update_deadline();
    net::awaitable<bool> wait(Deadline deadline);

    PlainTransport* transport_;  // null after the transport's end
    net::io_context& io_;
    HttpCall call_;
    std::string host_;    // host:port, as in the URL
    std::string target_;  // path and query
    std::string name_;    // of the host, without brackets
    std::string port_;
    Stage stage_ = Stage::idle;
    std::shared_ptr<PlainConnection> connection_;
    std::shared_ptr<Lookup> lookup_;
    std::vector<net::ip::tcp::endpoint> addresses_;  // still to be tried, the next one last
    Clock::time_point connect_by_;                   // all of it
    Clock::time_point address_by_ = Clock::time_point::max();  // this address
    Clock::time_point wait_by_ = Clock::time_point::max();     // the one who waits
    std::string request_head_;
    std::size_t sent_bytes_ = 0;  // on this connection
    bool sent_ = false;
    ResponseReader reader_;
    std::string bytes_;  // arrived, not yet taken
    std::size_t received_ = 0;
    std::optional<Error> failure_;
    Wakeup wakeup_;
    bool expired_ = false;
    bool leaving_ = false;
};

}  // namespace sluice
