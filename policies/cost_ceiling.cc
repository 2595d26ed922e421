#include "policies/cost_ceiling.h"

#include <algorithm>
#include <string_view>

namespace sluice {
namespace {

enum class Mark { none, minutes, hour };

Mark mark_in(std::string_view cache_control) {
    if (cache_control.empty()) return Mark::none;
    return cache_control.find("1h") == std::string_view::npos ? Mark::minutes : Mark::hour;
}

Mark marked(const ChatRequest& request) {
    Mark most = Mark::none;
    for (const Message& message : request.messages)
        for (const Part& part : message.parts) most = std::max(most, mark_in(part.cache_control));
    for (const Tool& tool : request.tools) most = std::max(most, mark_in(tool.cache_control));
    return most;
}

}  // namespace

Money cost_ceiling(const ChatRequest& request, std::int64_t input_tokens,
                   std::int64_t output_tokens, const Price& price) {
    Money most = cost_at_most(input_tokens, output_tokens, price);
    Mark mark = marked(request);
    if (mark == Mark::none) return most;
    const TokenPrice& token = price.of(longer_than_estimated(input_tokens));
    std::int64_t write = token.cache_write;
    if (mark == Mark::hour) write = std::max(write, token.cache_write_1h);
    return most + Money{input_tokens * std::max<std::int64_t>(write - token.input, 0)};
}

}  // namespace sluice
