// When a prompt is counted by the embedded engine's tokenizer, and for whom. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "policies/route.h"

namespace sluice {

enum class CountFor : std::uint8_t { nobody, engine, all };

// The engine, where the prompt and its answer may not fit its window, were the estimate short by
// half. All, where the policy compares tiers by what they cost: other vocabularies are nearer to
// the engine's than the estimate is. Not for them what has tools, images or files, which that count
// leaves out, nor more than an estimated 16,384 tokens, which take some milliseconds to count.
CountFor count_for(const ChatRequest& request, std::int64_t estimate, std::int64_t window,
                   bool by_value);

// The engine's window, and the count (0: none), into the views of those that it is for.
void put_count(CountFor whom, std::int64_t tokens, std::int64_t window,
               std::vector<UpstreamView>& views);

}  // namespace sluice
