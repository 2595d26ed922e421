#include "gateway/counted_prompt.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::int64_t counted_tokens_max = 16'384;

bool is_text_alone(const ChatRequest& request) {
    return request.tools.empty() &&
           std::all_of(request.messages.begin(), request.messages.end(), [](const Message& one) {
               return std::all_of(one.parts.begin(), one.parts.end(),
                                  [](const Part& part) { return part.kind == Part::Kind::text; });
           });
}

}  // namespace

CountFor count_for(const ChatRequest& request, std::int64_t estimate, std::int64_t window,
                   bool by_value) {
    if (by_value && estimate <= counted_tokens_max && is_text_alone(request)) return CountFor::all;
    const bool near = 2 * estimate + request.max_tokens.value_or(window / 4) >= window;
    return near ? CountFor::engine : CountFor::nobody;
}

void put_count(CountFor whom, std::int64_t tokens, std::int64_t window,
               std::vector<UpstreamView>& views) {
    for (UpstreamView& view : views) {
        const bool engine = view.upstream->local();
        if (engine) view.window_tokens = window;
        if (whom == CountFor::all || (whom == CountFor::engine && engine))
            view.input_tokens = tokens;
    }
}

}  // namespace sluice
