#include "gateway/reasoning_effort.h"

#include <algorithm>

namespace sluice {

std::unique_ptr<const ChatRequest> with_effort(const ChatRequest& request,
                                               std::string_view effort) {
    auto own = std::make_unique<ChatRequest>(request);
    own->reasoning_effort = effort;
    own->thinking_tokens_max.reset();
    std::erase_if(own->extra, [](const auto& one) {
        return one.first == "thinking" || one.first == "output_config" ||
               one.first == "thinking_token_budget";
    });
    return own;
}

}  // namespace sluice
