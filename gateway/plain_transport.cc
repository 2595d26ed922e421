#include "gateway/plain_transport.h"

#include <utility>

#include "gateway/plain_body.h"
#include "gateway/plain_connection.h"

namespace sluice {
namespace {

constexpr std::size_t input_bytes = 64U << 10;
constexpr std::size_t idle_connections_max = 1'024;
constexpr std::chrono::seconds idle_max(100);

}  // namespace

PlainTransport::PlainTransport(net::io_context& io) : io_(io), resolver_(io), input_(input_bytes) {}

PlainTransport::~PlainTransport() {
    leaving_.clear();
    while (!live_.empty()) {
        PlainBody* body = *live_.begin();
        body->transport_ended();
        live_.erase(body);
    }
    for (auto& [host, connections] : idle_) {
        for (auto& connection : connections) {
            connection->pool = nullptr;
            connection->close();
        }
    }
}

std::unique_ptr<BodyStream> PlainTransport::start(HttpCall call) {
    auto body = std::make_unique<PlainBody>(*this, std::move(call));
    live_.insert(body.get());
    body->begin();
    return body;
}

std::shared_ptr<PlainConnection> PlainTransport::take_idle(const std::string& host) {
    auto found = idle_.find(host);
    if (found == idle_.end() || found->second.empty()) return nullptr;
    auto connection = found->second.back();
    found->second.pop_back();
    --idle_count_;
    connection->pool = nullptr;
    if (PlainConnection::Clock::now() - connection->idle_since < idle_max) return connection;
    connection->close();  // and all older ones with it
    while (!found->second.empty()) forget(*found->second.front());
    return nullptr;
}

void PlainTransport::keep(std::shared_ptr<PlainConnection> connection) {
    connection->user = nullptr;
    connection->clear_deadline();
    if (idle_count_ >= idle_connections_max) return connection->close();
    ++idle_count_;
    connection->used_before = true;
    connection->idle_since = PlainConnection::Clock::now();
    connection->pool = this;
    Idle& idle = idle_[connection->host()];
    connection->place = idle.insert(idle.end(), connection);
    connection->watch();
}

void PlainTransport::forget(PlainConnection& connection) {
    connection.pool = nullptr;
    connection.close();
    --idle_count_;
    idle_.find(connection.host())->second.erase(connection.place);
}

}  // namespace sluice
