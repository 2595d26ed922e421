#include "gateway/commands/unopened_engine.h"

#include <algorithm>

#include "engine/model/model_file.h"
#include "engine/model/network.h"
#include "engine/text/tokenizer.h"
#include "gateway/counted_prompt.h"
#include "providers/local/chat_template.h"
#include "providers/local/prompt_encoder.h"

namespace sluice {
namespace {

// 0 where its template cannot render it.
std::int64_t count(const ModelFile& file, const ChatRequest& request, std::int64_t now_unix_s) {
    auto tokenizer = Tokenizer::from_file(file);
    if (!tokenizer) return 0;
    const std::string source = file.facts().chat_template;
    auto spelled = [&](TokenId token) {
        return token < 0 ? std::string() : std::string((*tokenizer)->bytes_of(token, true));
    };
    std::shared_ptr<const ChatTemplate> chat_template = ChatTemplate::chatml();
    if (!source.empty()) {
        auto parsed =
            ChatTemplate::parse(source, spelled((*tokenizer)->bos()), spelled((*tokenizer)->eos()));
        if (!parsed) return 0;
        chat_template = std::move(*parsed);
    }
    auto prompt = chat_template->render(request.messages, {}, true, now_unix_s);
    if (!prompt) return 0;
    return static_cast<std::int64_t>(PromptEncoder(**tokenizer).encode(*prompt).size());
}

}  // namespace

void count_unopened(const EngineSection& engine, const Policy& policy, const RouteInput& input,
                    std::vector<UpstreamView>& views) {
    auto file = ModelFile::open(engine.options.model_path);
    if (!file) return;
    auto network = (*file)->read_network();
    if (!network) return;
    std::int64_t window = network->context_tokens;
    if (engine.options.context_tokens_max > 0)
        window = std::min<std::int64_t>(window, engine.options.context_tokens_max);
    const CountFor whom =
        count_for(input.request, input.input_tokens, window, policy.scoring.by_value);
    const bool counted = whom != CountFor::nobody;
    put_count(whom, counted ? count(**file, input.request, input.unix_seconds) : 0, window, views);
}

}  // namespace sluice
