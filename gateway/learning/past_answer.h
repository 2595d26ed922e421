// An answer that is not remembered any more, looked up in the ledger by its request's id and owner.
// The ledger has no index by request, so rows are gone through, newest first, up to a bound.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/result.h"
#include "providers/caller.h"

namespace sluice {

namespace net = boost::asio;

struct PastAnswer {
    std::string tier;
    double propensity = 1;
    bool rated = false;  // somebody's word on it is on record
};

// Of the caller's own org and team, since then. Nothing where there is none, or it lies further
// back than is looked at (some two million rows). Blocking, up to a second; its own connection.
// Errors: bad_config (no sqlite:PATH), bad_file.
Result<std::optional<PastAnswer>> find_past_answer(const std::string& ledger_url,
                                                   const Caller& caller,
                                                   std::string_view request_id,
                                                   std::int64_t since_unix_ms);

// Lets one such look run at a time, on another thread than those that serve, and rests twenty times
// as long as it took: whoever names what was never asked costs little. Any io thread.
class PastAnswers {
public:
    // Once, before the first find(). `executor`'s thread may block.
    void begin(net::any_io_executor executor, std::string ledger_url);
    void end();  // no look begins any more
    // Errors: overloaded (another look is under way or was just now), and those above.
    net::awaitable<Result<std::optional<PastAnswer>>> find(const Caller& caller,
                                                           const std::string& request_id);

private:
    bool take_turn();
    net::any_io_executor executor_;
    std::string ledger_url_;
    std::atomic<std::int64_t> rests_until_ms_{0};
    std::atomic<bool> ended_{false};
};

}  // namespace sluice
