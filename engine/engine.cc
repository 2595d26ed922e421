// Engine::open: from a file's name to a running engine.
#include "engine/engine.h"

#include <utility>

#include "engine/calibration_text.h"
#include "engine/cpu/cpu_device.h"
#if SLUICE_CUDA
#include "engine/cuda/cuda_device.h"
#endif
#include "engine/heap.h"
#include "engine/model/model_file.h"
#include "engine/model/network.h"
#include "engine/model/shape_file.h"
#include "engine/open_model.h"
#include "engine/scheduler.h"

namespace sluice {
namespace {

constexpr int prefill_tokens_cpu = 256;
constexpr int prefill_tokens_gpu = 2048;

Result<std::unique_ptr<Device>> open_device(const EngineOptions& options,
                                            std::shared_ptr<const ModelFile> file,
                                            const NetworkDescription& network) {
    if (options.device == "cpu") return open_cpu_device(options, std::move(file), network);
#if SLUICE_CUDA
    if (options.device == "cuda") return open_cuda_device(options, std::move(file), network);
#endif
    return no_such_device(options);
}

ModelInfo describe_model(const ModelFile& file, const NetworkDescription& network) {
    ModelFacts facts = file.facts();
    ModelInfo info;
    info.name = std::move(facts.name);
    info.architecture = std::move(facts.architecture);
    info.chat_template = std::move(facts.chat_template);
    info.temperature = facts.temperature;
    info.top_p = facts.top_p;
    info.top_k = facts.top_k >= network.vocab ? 0 : facts.top_k;
    info.min_p = facts.min_p;
    info.repetition_penalty = facts.repetition_penalty;
    info.sampling_ignored = std::move(facts.ignored);
    info.context_tokens = network.context_tokens;
    for (const Tensor& tensor : file.tensors()) {
        std::int64_t weights = 1;
        for (std::int64_t dim : tensor.dims) weights *= dim;
        info.parameters += weights;
    }
    return info;
}

// The file's network on its device, ready for steps.
Result<std::unique_ptr<Device>> open_ready(const EngineOptions& options,
                                           std::shared_ptr<const ModelFile> file,
                                           NetworkDescription network, const Tokenizer& tokenizer) {
    if (tokenizer.vocab_size() > network.vocab)
        return Error(Errc::bad_file, file->path() + ": the tokenizer has " +
                                         std::to_string(tokenizer.vocab_size()) +
                                         " tokens, but the embedding rows for " +
                                         std::to_string(network.vocab));
    network.tokens = tokenizer.vocab_size();
    auto device = open_device(options, std::move(file), network);
    if (!device) return device.error();
    Status calibrated = (*device)->calibrate(tokenizer.encode(calibration_text, false, true));
    if (!calibrated) return calibrated.error();
    return device;
}

// Again, for a device that was lost. The file is read anew: what was read of it has been let go.
Result<std::unique_ptr<Device>> reopen(const EngineOptions& options, const Tokenizer& tokenizer) {
    auto file = open_model(options);
    if (!file) return file.error();
    auto network = describe_network(**file);
    if (!network) return network.error();
    return open_ready(options, *std::move(file), *std::move(network), tokenizer);
}

}  // namespace

Error no_such_device(const EngineOptions& options) {
    if (options.device == "cuda")
        return {Errc::bad_config,
                "device 'cuda' asked for, but this program was built without CUDA; use 'cpu', or a "
                "build made where nvcc is"};
    return {Errc::bad_config, "device must be 'cpu' or 'cuda', got '" + options.device + "'"};
}

Result<std::shared_ptr<const ModelFile>> open_model(const EngineOptions& options) {
    if (options.shape.empty()) return ModelFile::open(options.model_path);
    if (options.device != "cuda")
        return Error(Errc::bad_config,
                     "random weights of a shape need device 'cuda', got '" + options.device + "'");
    return make_shape_file(options.shape, options.quant);
}

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& asked) {
    EngineOptions options = asked;
    if (options.prefill_tokens_max == 0)
        options.prefill_tokens_max =
            options.device == "cuda" ? prefill_tokens_gpu : prefill_tokens_cpu;
    auto file = open_model(options);
    if (!file) return file.error();
    auto network = describe_network(**file);
    if (!network) return network.error();
    auto tokenizer = Tokenizer::from_file(**file);
    if (!tokenizer) return tokenizer.error();
    ModelInfo model = describe_model(**file, *network);
    give_back_free_memory();  // what reading took, before the weights need theirs
    auto device = open_ready(options, std::move(*file), *std::move(network), **tokenizer);
    if (!device) return device.error();
    const DeviceInfo& info = (*device)->info();
    // As much if it is opened again.
    options.kv_tokens = info.pages * info.page_tokens;
    options.kv_swap_tokens = info.swap_pages * info.page_tokens;
    Reopening reopening{[options, tokenizer = *tokenizer] { return reopen(options, *tokenizer); }};
    return make_engine(options, std::move(*device), std::move(*tokenizer), std::move(model),
                       std::move(reopening));
}

}  // namespace sluice
