// make_engine: what is refused before an engine has its thread.
#include <algorithm>
#include <string>
#include <utility>

#include "engine/scheduler.h"

namespace sluice {
namespace {

Status check_options(const EngineOptions& options) {
    struct Field {
        const char* name;
        int value, least;
    };
    for (Field field : {Field{"sequences_max", options.sequences_max, 1},
                        Field{"waiting_max", options.waiting_max, 0},
                        Field{"prefill_tokens_max", options.prefill_tokens_max, 1},
                        Field{"context_tokens_max", options.context_tokens_max, 0},
                        Field{"step_ms_max", options.step_ms_max, 1},
                        Field{"cached_idle_ms_max", options.cached_idle_ms_max, 0}})
        if (field.value < field.least)
            return Error(Errc::bad_config, std::string("engine option ") + field.name +
                                               " must be at least " + std::to_string(field.least) +
                                               ", got " + std::to_string(field.value));
    return Done{};
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options,
                                            std::unique_ptr<Device> device,
                                            std::shared_ptr<const Tokenizer> tokenizer,
                                            ModelInfo model, Reopening reopening) {
    Status fine = check_options(options);
    if (!fine) return fine.error();
    const DeviceInfo& info = device->info();
    std::int64_t context =
        std::min<std::int64_t>(model.context_tokens, info.pages * info.page_tokens);
    if (options.context_tokens_max > 0)
        context = std::min<std::int64_t>(context, options.context_tokens_max);
    if (context < 2)
        return Error(Errc::bad_config, "a context of " + std::to_string(context) +
                                           " tokens has no room for a prompt and an answer");
    model.context_tokens = static_cast<int>(context);
    std::unique_ptr<Engine> engine = std::make_unique<Scheduler>(
        options, std::move(device), std::move(tokenizer), std::move(model), std::move(reopening));
    return engine;
}

}  // namespace sluice
