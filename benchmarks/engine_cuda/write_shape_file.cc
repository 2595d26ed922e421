// Writes a GGUF file of a known model's shape with random weights, to time how a real one of that
// size is opened: the same tensors, types and sizes, one file, blocks repeated. Then
//     write_shape_file r1-distill-qwen-32b q4_k_m /tmp/32b.gguf
//     sluice generate --device cuda --model /tmp/32b.gguf --raw --prompt Hello --json
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <string>

#include "engine/model/network.h"
#include "engine/model/shape_file.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/vocabulary.h"
#include "tests/engine/gguf_writer.h"
#include "tests/engine/random_weights.h"

using namespace sluice;

namespace {

constexpr std::int64_t pattern_weights = std::int64_t{1} << 23;
constexpr std::int64_t alignment = 32;

// Metadata as GgufWriter has it, which keeps tensors' bytes in memory and so is given none.
GgufWriter metadata(const ModelFile& shape, const NetworkDescription& n, const Vocabulary& words) {
    GgufWriter out;
    const std::string kind = shape.facts().architecture;
    out.set("general.architecture", kind);
    out.set("general.name", shape.facts().name);
    auto number = [&](const char* key, int value) {
        out.set(kind + "." + key, static_cast<std::uint32_t>(value));
    };
    number("block_count", n.layers);
    number("embedding_length", n.hidden);
    number("feed_forward_length", n.ffn);
    number("context_length", n.context_tokens);
    number("attention.head_count", n.query_heads);
    number("attention.head_count_kv", n.kv_heads);
    number("attention.key_length", n.head_dim);
    number("attention.value_length", n.head_dim);
    number("rope.dimension_count", n.rope_dims);
    out.set(kind + ".rope.freq_base", n.rope_theta);
    out.set(kind + ".attention.layer_norm_rms_epsilon", n.norm_eps);
    out.set("tokenizer.ggml.model", "gpt2");
    out.set("tokenizer.ggml.pre", "qwen2");
    std::vector<std::string> tokens(words.texts.begin(), words.texts.end());
    for (int byte = 0; byte < 256; ++byte)  // so that any text has tokens
        tokens[static_cast<std::size_t>(byte)] = spelling_of(static_cast<unsigned char>(byte));
    out.set("tokenizer.ggml.tokens", tokens);
    out.set("tokenizer.ggml.merges", std::vector<std::string>());
    return out;
}

// Random blocks of each type, made once.
class Patterns {
public:
    const std::string& of(TensorType type, bool norm) {
        std::string& pattern = made_[{type, norm}];
        if (pattern.empty())
            pattern = norm ? ones() : random_weights(type, pattern_weights, random_, 0.001F);
        return pattern;
    }

private:
    static std::string ones() { return raw_bytes(std::vector<float>(pattern_weights / 64, 1.0F)); }
    std::mt19937 random_{1};
    std::map<std::pair<TensorType, bool>, std::string> made_;
};

void write_tensor(std::ofstream& out, const Tensor& tensor, Patterns& patterns) {
    const bool norm = tensor.dims.size() == 1 && !tensor.name.ends_with(".bias");
    const std::string& pattern = patterns.of(tensor.type, norm);
    for (std::int64_t left = tensor.bytes; left > 0;) {
        const auto now = std::min<std::int64_t>(left, static_cast<std::int64_t>(pattern.size()));
        out.write(pattern.data(), now);
        left -= now;
    }
    const char zeros[alignment] = {};
    out.write(zeros, (alignment - tensor.bytes % alignment) % alignment);
}

Status write(const char* name, const char* quant, const char* path) {
    auto shape = make_shape_file(name, quant);
    if (!shape) return shape.error();
    auto network = describe_network(**shape);
    if (!network) return network.error();
    auto words = (*shape)->read_vocabulary();
    if (!words) return words.error();
    GgufWriter head = metadata(**shape, *network, *words);
    for (const Tensor& tensor : (*shape)->tensors())
        head.declare(tensor.name, tensor.type, tensor.dims, tensor.bytes);
    std::ofstream out(path, std::ios::binary);
    const std::string start = head.bytes();
    out.write(start.data(), static_cast<std::streamsize>(start.size()));
    Patterns patterns;
    for (const Tensor& tensor : (*shape)->tensors()) write_tensor(out, tensor, patterns);
    if (!out.flush()) return Error(Errc::bad_file, std::string("cannot write ") + path);
    std::printf("%s: %.2f GB\n", path, static_cast<double>(out.tellp()) / 1e9);
    return Done{};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: write_shape_file SHAPE QUANT FILE\n", stderr);
        return 2;
    }
    const auto begin = std::chrono::steady_clock::now();
    Status done = write(argv[1], argv[2], argv[3]);
    if (!done) {
        std::fprintf(stderr, "write_shape_file: %s\n", done.error().message.c_str());
        return 1;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("written in %.1f s\n", took.count());
    return 0;
}
