#include "gateway/engine_metrics.h"

#include <algorithm>

namespace sluice {

EngineMetrics::EngineMetrics(prometheus::Registry& registry)
    : up_(gauges_of(registry, "sluice_engine_up", "0 while its device is lost")),
      running_(gauges_of(registry, "sluice_engine_running_sequences", "Sequences in steps")),
      waiting_(gauges_of(registry, "sluice_engine_waiting_sequences", "Sequences queued")),
      pages_(gauges_of(registry, "sluice_engine_kv_pages",
                       "KV cache pages by state: used, cached and free make total; swapped ones "
                       "lie in the host's memory")),
      kv_tokens_(gauges_of(registry, "sluice_engine_kv_tokens", "The same in tokens of context")),
      speed_(gauges_of(registry, "sluice_engine_tokens_per_second", "Generated, recently")),
      step_(gauges_of(registry, "sluice_engine_step_seconds", "Recent mean of a step")),
      prompt_tokens_(counters(registry, "sluice_engine_prompt_tokens_total",
                              "Prompt tokens of begun answers, by where they came from")),
      loops_(counters(registry, "sluice_engine_looped_sequences_total",
                      "Answers ended because they went round in circles")),
      preemptions_(counters(registry, "sluice_engine_preemptions_total",
                            "Sequences that gave way to others, by what became of their keys: "
                            "swapped to the host's memory, or dropped, to be "
                            "computed again")) {}

void EngineMetrics::raise(prometheus::Counter& counter, std::uint64_t to) {
    std::lock_guard lock(mutex_);
    counter.Increment(std::max(0.0, static_cast<double>(to) - counter.Value()));
}

void EngineMetrics::set(const Occupancy& now) {
    up_.Add({}).Set(now.up ? 1 : 0);
    running_.Add({}).Set(now.running);
    waiting_.Add({}).Set(now.waiting);
    const auto set_kv = [&](const char* state, std::int64_t count) {
        pages_.Add({{"state", state}}).Set(static_cast<double>(count));
        kv_tokens_.Add({{"state", state}}).Set(static_cast<double>(count * now.page_tokens));
    };
    set_kv("used", now.kv_pages_used);
    set_kv("cached", now.kv_pages_cached);
    set_kv("free", now.kv_pages_total - now.kv_pages_used - now.kv_pages_cached);
    set_kv("total", now.kv_pages_total);
    set_kv("swapped", now.kv_pages_swapped);
    const std::uint64_t hits = std::min(now.prefix_hit_tokens_total, now.prompt_tokens_total);
    raise(prompt_tokens_.Add({{"source", "cache"}}), hits);
    raise(prompt_tokens_.Add({{"source", "computed"}}), now.prompt_tokens_total - hits);
    const std::uint64_t swaps = std::min(now.swaps_total, now.preemptions_total);
    raise(preemptions_.Add({{"keys", "swapped"}}), swaps);
    raise(preemptions_.Add({{"keys", "dropped"}}), now.preemptions_total - swaps);
    raise(loops_.Add({}), now.loops_total);
    speed_.Add({}).Set(now.tokens_per_second);
    step_.Add({}).Set(now.step_seconds);
}

}  // namespace sluice
