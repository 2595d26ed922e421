// What the listening side grants a client.
#pragma once

#include <cstddef>

namespace sluice {

struct ServerLimits {
    std::size_t header_bytes_max = 16U << 10;
    std::size_t body_bytes_max = 16U << 20;
    int header_ms = 10'000;        // from a request's first byte to its whole head
    int body_ms = 60'000;          // from the head to the whole body
    int idle_ms = 75'000;          // between an answer and the next request
    int write_ms = 30'000;         // without 64 KiB of progress on a client that does not read
    int connections_max = 10'000;  // over all io threads; more are answered 503
};

}  // namespace sluice
