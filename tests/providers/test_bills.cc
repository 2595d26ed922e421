// Usage as vendors send it, through the dialect's reader and the price book, to dollars worked out
// by hand: the arithmetic stands beside each case.
#include <catch2/catch.hpp>

#include "chat_samples.h"
#include "providers/dialect.h"
#include "providers/price_book.h"

using namespace sluice;

namespace {

struct Bill {
    const char* vendor;
    const char* model;
    const char* date;
    const char* usage;
    const char* usd;
};

std::string openai_body(const std::string& usage) {
    return R"({"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":)" + usage +
           "}";
}

std::string anthropic_body(const std::string& usage) {
    return R"({"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":)" + usage +
           "}";
}

constexpr const char* r1_tput = "deepseek-ai/DeepSeek-R1-0528-tput";

const Bill bills[] = {
    // 1,000 x 0.55 + 4,000 x 2.19 = 550 + 8,760 millionths
    {"together", r1_tput, "2026-11-22",
     R"({"prompt_tokens":1000,"completion_tokens":4000,"total_tokens":5000})", "0.00931"},
    // 18 x 0.55 + 1 x 2.19
    {"together", r1_tput, "2026-11-22", R"({"prompt_tokens":18,"completion_tokens":1})",
     "0.00001209"},
    // Reasoning is inside completion: 100 x 3 + 900 x 7
    {"together", "deepseek-ai/DeepSeek-R1", "2026-11-22",
     R"({"prompt_tokens":100,"completion_tokens":900,
         "completion_tokens_details":{"reasoning_tokens":850}})",
     "0.0066"},
    // 100 x 3 + 200 x 8
    {"fireworks", "accounts/fireworks/models/deepseek-r1-0528", "2026-11-22",
     R"({"prompt_tokens":100,"completion_tokens":200,"total_tokens":300})", "0.0019"},
    // 4 x 0.14 + 60 x 0.0028 + 12 x 0.28 = 0.56 + 0.168 + 3.36
    {"deepseek", "deepseek-v4-flash", "2026-11-22",
     R"({"prompt_tokens":64,"completion_tokens":12,"total_tokens":76,
         "prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":4})",
     "0.000004088"},
    // 1 x 0.003625 + 1 x 0.87: a cached token of 3,625 pico-dollars
    {"deepseek", "deepseek-v4-pro", "2026-11-22",
     R"({"prompt_tokens":1,"completion_tokens":1,"prompt_cache_hit_tokens":1})", "0.000000873625"},
    // 20 x 1.25 + 100 x 0.125 + 41 x 10 = 25 + 12.5 + 410
    {"openai", "gpt-5", "2026-11-22",
     R"({"prompt_tokens":120,"completion_tokens":41,"total_tokens":161,
         "prompt_tokens_details":{"cached_tokens":100},
         "completion_tokens_details":{"reasoning_tokens":30}})",
     "0.0004475"},
    // 1,000,000 x 1.25 + 1,000,000 x 10
    {"openai", "gpt-5.1", "2026-11-22", R"({"prompt_tokens":1000000,"completion_tokens":1000000})",
     "11.25"},
    // 3 x 0.05 + 7 x 0.40 = 0.15 + 2.8
    {"openai", "gpt-5-nano", "2026-11-22", R"({"prompt_tokens":3,"completion_tokens":7})",
     "0.00000295"},
    // 10 x 15 + 10 x 120
    {"openai", "gpt-5-pro", "2026-11-22", R"({"prompt_tokens":10,"completion_tokens":10})",
     "0.00135"},
    // 500 x 1.75 + 500 x 0.175 + 10 x 14 = 875 + 87.5 + 140
    {"openai", "gpt-5.2", "2026-11-22",
     R"({"prompt_tokens":1000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":500}})",
     "0.0011025"},
    // Cache writes cost extra: 2 x 5 + 48 x 6.25 + 20 x 30 = 10 + 300 + 600
    {"openai", "gpt-5.6-sol", "2026-11-22",
     R"({"prompt_tokens":50,"completion_tokens":20,
         "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":48}})",
     "0.00091"},
    // The day before the cut: 100 x 2.5 + 10 x 15 = 250 + 150
    {"openai", "gpt-5.6-terra", "2026-07-29", R"({"prompt_tokens":100,"completion_tokens":10})",
     "0.0004"},
    // On its day: 100 x 2 + 10 x 12 = 200 + 120
    {"openai", "gpt-5.6-terra", "2026-07-30", R"({"prompt_tokens":100,"completion_tokens":10})",
     "0.00032"},
    // input_tokens excludes the cache: 4 x 5 + 2,000 x 0.5 + 60 x 6.25 + 40 x 10 + 89 x 25
    //   = 20 + 1,000 + 375 + 400 + 2,225
    {"anthropic", "claude-opus-5", "2026-11-22",
     R"({"input_tokens":4,"cache_creation_input_tokens":100,"cache_read_input_tokens":2000,
         "cache_creation":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":40},
         "output_tokens":89})",
     "0.00402"},
    // 25 x 15 + 15 x 75 = 375 + 1,125
    {"anthropic", "claude-opus-4-1", "2026-11-22", R"({"input_tokens":25,"output_tokens":15})",
     "0.0015"},
    // Introductory price: 1,000 x 2 + 100 x 10
    {"anthropic", "claude-sonnet-5", "2026-08-31", R"({"input_tokens":1000,"output_tokens":100})",
     "0.003"},
    // After it: 1,000 x 3 + 100 x 15
    {"anthropic", "claude-sonnet-5", "2026-09-01", R"({"input_tokens":1000,"output_tokens":100})",
     "0.0045"},
    // Cached tokens count towards the mark, and all is dearer above it:
    // 100,000 x 3 + 100,000 x 0.30 + 10 x 15 = 300,000 + 30,000 + 150
    {"anthropic", "claude-sonnet-4-5", "2026-11-22",
     R"({"input_tokens":100000,"cache_read_input_tokens":100000,"output_tokens":10})", "0.33015"},
    // 100,000 x 6 + 100,000 x 0.60 + 1 x 7.50 + 10 x 22.50 = 600,000 + 60,000 + 7.5 + 225
    {"anthropic", "claude-sonnet-4-5", "2026-11-22",
     R"({"input_tokens":100000,"cache_read_input_tokens":100000,"cache_creation_input_tokens":1,
         "output_tokens":10})",
     "0.6602325"},
    // 272,000 x 5 + 10 x 30
    {"openai", "gpt-5.5", "2026-11-22", R"({"prompt_tokens":272000,"completion_tokens":10})",
     "1.3603"},
    // 1 x 10 + 272,000 x 1 + 10 x 45
    {"openai", "gpt-5.5", "2026-11-22",
     R"({"prompt_tokens":272001,"completion_tokens":10,
         "prompt_tokens_details":{"cached_tokens":272000}})",
     "0.27246"},
    // 10 x 1 + 90 x 0.1 + 5 x 5 = 10 + 9 + 25
    {"anthropic", "claude-haiku-4-5", "2026-11-22",
     R"({"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":5})", "0.000044"},
    // 4,000 x 25 and no prompt to speak of: 1 x 5
    {"simulated-anthropic", "sim-frontier", "2026-11-22",
     R"({"input_tokens":1,"output_tokens":4000})", "0.100005"},
    // 10 x 5 + 10 x 0.5 + 4 x 25 = 50 + 5 + 100
    {"simulated-openai", "sim-frontier", "2026-11-22",
     R"({"prompt_tokens":20,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":10}})",
     "0.000155"},
    // 1,000 x 0.55 + 4,000 x 2.19
    {"simulated-openai", "sim-reasoner", "2026-11-22",
     R"({"prompt_tokens":1000,"completion_tokens":4000})", "0.00931"},
};

}  // namespace

TEST_CASE("recorded usages cost what they cost by hand", "[bills]") {
    for (const Bill& bill : bills) {
        INFO(bill.vendor << " " << bill.model << " " << bill.usage);
        const PriceEntry* entry = PriceBook::builtin().find(bill.vendor, bill.model, bill.date);
        REQUIRE(entry);
        std::string name = builtin_vendors().find(bill.vendor)->second.dialect;
        const Dialect* dialect = find_dialect(name);
        std::string body =
            name == "openai_chat" ? openai_body(bill.usage) : anthropic_body(bill.usage);
        auto answer = dialect->read_answer(body, plain_upstream(name));
        if (!answer) FAIL(answer.error().message);
        REQUIRE_FALSE(answer->usage_missing);
        CHECK(usd_text(cost_of(answer->usage, entry->price)) == bill.usd);
    }
}
