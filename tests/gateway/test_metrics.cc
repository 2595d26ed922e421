#include <catch2/catch.hpp>

#include "gateway/metrics.h"

using namespace sluice;

namespace {

LedgerEntry answered(const std::string& team) {
    LedgerEntry entry;
    entry.answered = true;
    entry.caller.team = team;
    entry.tier = "open";
    entry.upstream = "open-sim";
    entry.vendor = "simulated-openai";
    entry.model = "sim-reasoner";
    entry.model_asked = "auto";
    entry.outcome = "ok";
    entry.usage.in_uncached = 10;
    entry.usage.out_reasoning = 5;
    entry.cost.pico_usd = 250'000'000'000;
    entry.baseline.pico_usd = 1'000'000'000'000;
    entry.duration_us = 1'000'000;
    entry.first_token_us = 100'000;
    return entry;
}

bool has(const std::string& text, const std::string& line) {
    return text.find(line) != std::string::npos;
}

}  // namespace

TEST_CASE("a settled attempt shows in requests, tokens, cost and baseline", "[metrics]") {
    Metrics metrics;
    metrics.count(answered("t"));
    metrics.count(answered("t"));
    MetricsGauges gauges;
    gauges.ledger_queue_entries = 3;
    gauges.upstream_up.emplace_back("open-sim", false);
    std::string text = metrics.text(gauges);
    std::string place = "{team=\"t\",tier=\"open\",upstream=\"open-sim\"}";
    CHECK(has(text, "sluice_cost_usd_total" + place + " 0.5\n"));
    CHECK(has(text, "sluice_baseline_cost_usd_total{team=\"t\"} 2\n"));
    CHECK(has(text, "outcome=\"ok\",team=\"t\",tier=\"open\",upstream=\"open-sim\"} 2\n"));
    CHECK(has(text,
              "sluice_tokens_total{kind=\"out_reasoning\",team=\"t\",tier=\"open\","
              "upstream=\"open-sim\"} 10\n"));
    CHECK(has(text, "sluice_ledger_queue_entries 3\n"));
    CHECK(has(text, "sluice_upstream_up{upstream=\"open-sim\"} 0\n"));
}

TEST_CASE("an unanswered attempt costs but is no request of its own", "[metrics]") {
    Metrics metrics;
    LedgerEntry failed = answered("t");
    failed.answered = false;
    failed.outcome = "timed_out";
    metrics.count(failed);
    metrics.count_refusal("open", "t", "timed_out");
    std::string text = metrics.text(MetricsGauges());
    CHECK(has(text, "outcome=\"timed_out\",team=\"t\",tier=\"open\",upstream=\"\"} 1\n"));
    CHECK_FALSE(has(text, "outcome=\"timed_out\",team=\"t\",tier=\"open\",upstream=\"open-sim\""));
    CHECK(
        has(text, "sluice_cost_usd_total{team=\"t\",tier=\"open\",upstream=\"open-sim\"} 0.25\n"));
}

TEST_CASE("ten thousand teams leave the number of series bounded", "[metrics]") {
    Metrics metrics;
    for (int i = 0; i < 10'000; ++i) metrics.count(answered("team-" + std::to_string(i)));
    std::string text = metrics.text(MetricsGauges());
    std::size_t series = 0;
    for (std::size_t at = 0; (at = text.find("sluice_cost_usd_total{", at)) != std::string::npos;
         ++at)
        ++series;
    CHECK(series == 257);
    CHECK(has(text, "sluice_cost_usd_total{team=\"other\""));
}

TEST_CASE("the engine's counters are what it says, however often they are read", "[metrics]") {
    Metrics metrics;
    MetricsGauges gauges;
    gauges.engine.emplace();
    gauges.engine->prompt_tokens_total = 100;
    gauges.engine->prefix_hit_tokens_total = 64;
    gauges.engine->kv_pages_cached = 7;
    gauges.engine->kv_pages_used = 3;
    gauges.engine->kv_pages_total = 40;
    gauges.engine->page_tokens = 64;
    gauges.engine->loops_total = 2;
    gauges.engine->kv_pages_swapped = 5;
    gauges.engine->preemptions_total = 9;
    gauges.engine->swaps_total = 6;
    metrics.text(gauges);
    gauges.engine->prompt_tokens_total = 150;
    metrics.text(gauges);
    const std::string text = metrics.text(gauges);
    CHECK(text.find("sluice_engine_prompt_tokens_total{source=\"cache\"} 64\n") != text.npos);
    CHECK(text.find("sluice_engine_prompt_tokens_total{source=\"computed\"} 86\n") != text.npos);
    CHECK(text.find("sluice_engine_looped_sequences_total 2\n") != text.npos);
    CHECK(text.find("sluice_engine_kv_pages{state=\"cached\"} 7\n") != text.npos);
    CHECK(text.find("sluice_engine_kv_pages{state=\"free\"} 30\n") != text.npos);
    CHECK(text.find("sluice_engine_kv_tokens{state=\"free\"} 1920\n") != text.npos);
    CHECK(text.find("sluice_engine_kv_tokens{state=\"total\"} 2560\n") != text.npos);
    CHECK(text.find("sluice_engine_kv_pages{state=\"swapped\"} 5\n") != text.npos);
    CHECK(text.find("sluice_engine_preemptions_total{keys=\"swapped\"} 6\n") != text.npos);
    CHECK(text.find("sluice_engine_preemptions_total{keys=\"dropped\"} 3\n") != text.npos);
    CHECK(text.find("sluice_engine_up 1\n") != text.npos);
    gauges.engine->up = false;
    CHECK(metrics.text(gauges).find("sluice_engine_up 0\n") != std::string::npos);
}
