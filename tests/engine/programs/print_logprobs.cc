// Writes the logprobs of the whole vocabulary after every EVERY-th token of a text, as a model on a
// device has them: f32 [tokens / EVERY][vocab], for compare_transformers.py.
//     print_logprobs MODEL DEVICE BESIDE EVERY TOKEN,TOKEN,... OUT
// BESIDE: sequences that run side by side, which decides how products are computed.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "engine/cpu/cpu_device.h"
#include "engine/model/model_file.h"
#include "engine/model/network.h"
#include "tests/engine/all_logprobs.h"
#if SLUICE_CUDA
#include "engine/cuda/cuda_device.h"
#endif

using namespace sluice;

namespace {

Result<std::unique_ptr<Device>> open_device(const std::string& name, int beside,
                                            std::shared_ptr<const ModelFile> file,
                                            const NetworkDescription& network) {
    EngineOptions options;
    options.device = name;
    options.sequences_max = beside;
    options.prefill_tokens_max = 64;
    options.context_tokens_max = 512;
    options.kv_tokens = 1024;
#if SLUICE_CUDA
    if (name == "cuda") return open_cuda_device(options, std::move(file), network);
#endif
    return open_cpu_device(options, std::move(file), network);
}

std::vector<TokenId> read_tokens(const char* text) {
    std::vector<TokenId> out;
    for (char* end = nullptr; *text != '\0'; text = *end == ',' ? end + 1 : end) {
        out.push_back(static_cast<TokenId>(std::strtol(text, &end, 10)));
        if (end == text) return {};
    }
    return out;
}

Status print(char** argv) {
    const int beside = std::atoi(argv[3]);
    const int every = std::atoi(argv[4]);
    const std::vector<TokenId> tokens = read_tokens(argv[5]);
    auto file = ModelFile::open(argv[1]);
    if (!file) return file.error();
    auto network = describe_network(**file);
    if (!network) return network.error();
    const int vocab = network->vocab;
    auto device = open_device(argv[2], beside, *file, *network);
    if (!device) return device.error();
    std::ofstream out(argv[6], std::ios::binary);
    for (const std::vector<float>& row : all_logprobs(**device, tokens, vocab, beside, every))
        out.write(reinterpret_cast<const char*>(row.data()),
                  static_cast<std::streamsize>(row.size() * sizeof(float)));
    if (!out.flush()) return Error(Errc::bad_file, std::string("cannot write ") + argv[6]);
    return Done{};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 7 || std::atoi(argv[3]) < 1 || std::atoi(argv[4]) < 1) {
        std::fputs("usage: print_logprobs MODEL cpu|cuda BESIDE EVERY TOKEN,TOKEN,... OUT\n",
                   stderr);
        return 2;
    }
    Status done = print(argv);
    if (!done) std::fprintf(stderr, "print_logprobs: %s\n", done.error().message.c_str());
    return done ? 0 : 1;
}
