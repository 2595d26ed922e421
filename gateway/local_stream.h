// The embedded engine's answer as a DeltaStream. The engine thread puts Pieces into a bounded
// channel and never waits: when the channel is full its sink says no, and the engine holds the
// sequence until the client has read. The connection's io thread takes them out; several that wait
// are one Delta.
//
// Threads: everything but the sink runs on the io thread of `executor`. Ownership: destroying the
// stream cancels the sequence, and waits for a call of the sink that is under way (it never
// blocks). Limits: pieces_max wait. Errors: what LocalProvider::prepare and Engine::submit say, and
//   timed_out      which of the upstream's deadlines passed (first token, between tokens, total)
//   cancelled      the stop was requested, or the engine shut down
//   device_failed  the engine lost the sequence
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "engine/engine.h"
#include "gateway/delta_stream.h"
#include "providers/local/local_provider.h"
#include "providers/upstream.h"

namespace sluice {

constexpr std::size_t pieces_max = 64;

// Submits the request. `engine`, `provider`, `upstream` and `stop` must outlive the stream;
// `request` and `caller` are not kept.
Result<std::unique_ptr<DeltaStream>> open_local_stream(
    Engine& engine, const LocalProvider& provider, const ChatRequest& request, const Caller& caller,
    const Upstream& upstream, Stop& stop, net::any_io_executor executor);

}  // namespace sluice
