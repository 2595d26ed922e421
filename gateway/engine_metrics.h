// What the engine says of itself, as Prometheus families. Any thread.
#pragma once

#include <mutex>

#include "engine/engine.h"
#include "gateway/metric_families.h"

namespace sluice {

class EngineMetrics {
public:
    explicit EngineMetrics(prometheus::Registry& registry);
    void set(const Occupancy& now);

private:
    void raise(prometheus::Counter& counter, std::uint64_t to);

    std::mutex mutex_;  // two scrapes at once must not both add what is new
    Gauges& up_;
    Gauges& running_;
    Gauges& waiting_;
    Gauges& pages_;
    Gauges& kv_tokens_;
    Gauges& speed_;
    Gauges& step_;
    Counters& prompt_tokens_;
    Counters& loops_;
    Counters& preemptions_;
};

}  // namespace sluice
