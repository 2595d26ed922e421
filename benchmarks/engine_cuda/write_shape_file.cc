// Writes a model of a known shape with random weights, to time how a real one of that size is
// opened: the same tensors, types and sizes, blocks repeated. A GGUF file, or a folder of
// safetensors where the last argument is a folder that is there. Then
//     write_shape_file r1-distill-qwen-32b q4_k_m /tmp/32b.gguf
//     sluice generate --device cuda --model /tmp/32b.gguf --raw --prompt Hello --json
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>

#include "engine/model/network.h"
#include "engine/model/shape_file.h"
#include "engine/model/tensor_names.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/vocabulary.h"
#include "tests/engine/gguf_writer.h"
#include "tests/engine/hf_folder.h"
#include "tests/engine/random_weights.h"

using namespace sluice;

namespace {

constexpr std::int64_t pattern_weights = std::int64_t{1} << 23;
constexpr std::int64_t gguf_alignment = 32;
constexpr std::int64_t shard_bytes = 5'000'000'000;

// So that it can be served, too.
constexpr const char* chat_template =
    "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

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
    out.set("tokenizer.chat_template", chat_template);
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

void write_tensor(std::ofstream& out, const Tensor& tensor, Patterns& patterns,
                  std::int64_t alignment) {
    const bool norm = tensor.dims.size() == 1 && !tensor.name.ends_with(".bias");
    const std::string& pattern = patterns.of(tensor.type, norm);
    for (std::int64_t left = tensor.bytes; left > 0;) {
        const auto now = std::min<std::int64_t>(left, static_cast<std::int64_t>(pattern.size()));
        out.write(pattern.data(), now);
        left -= now;
    }
    const char zeros[gguf_alignment] = {};
    out.write(zeros, (alignment - tensor.bytes % alignment) % alignment);
}

// A shard's header and its tensors.
struct Shard {
    std::string header;
    std::vector<const Tensor*> tensors;
    std::int64_t bytes = 0;

    void add(const std::string& name, const char* dtype, const std::string& shape,
             std::int64_t size) {
        header += (header.empty() ? "\"" : ",\"") + name + "\":{\"dtype\":\"" + dtype +
                  "\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(bytes) + "," +
                  std::to_string(bytes + size) + "]}";
        bytes += size;
    }
};

const char* dtype_of(TensorType type) {
    if (type == TensorType::fp8_e4m3) return "F8_E4M3";
    return type == TensorType::bf16 ? "BF16" : "F32";
}

std::string config_json(const NetworkDescription& n, const std::string& kind) {
    auto number = [](const char* key, int value) {
        return ",\"" + std::string(key) + "\":" + std::to_string(value);
    };
    return "{\"model_type\":\"" + kind + "\"" + number("num_hidden_layers", n.layers) +
           number("hidden_size", n.hidden) + number("num_attention_heads", n.query_heads) +
           number("num_key_value_heads", n.kv_heads) + number("intermediate_size", n.ffn) +
           number("vocab_size", n.vocab) + number("max_position_embeddings", n.context_tokens) +
           number("rope_theta", static_cast<int>(n.rope_theta)) + ",\"rms_norm_eps\":1e-5}";
}

// Each fp8 matrix is followed by its scale, 1/32.
Status write_folder(const ModelFile& model, const NetworkDescription& network,
                    const std::string& folder) {
    std::vector<Shard> shards(1);
    std::string map;
    for (const Tensor& tensor : model.tensors()) {
        if (block_weights(tensor.type) > 1)
            return Error(Errc::bad_config, "a folder keeps bf16 or fp8, no blocks");
        if (shards.back().bytes > shard_bytes) shards.emplace_back();
        const std::string file = "part-" + std::to_string(shards.size()) + ".safetensors";
        std::vector<std::string> names = {hf_tensor_name(tensor.name)};
        shards.back().tensors.push_back(&tensor);
        const std::vector<std::int64_t> shape(tensor.dims.rbegin(), tensor.dims.rend());
        shards.back().add(names[0], dtype_of(tensor.type), shape_text(shape), tensor.bytes);
        if (tensor.type == TensorType::fp8_e4m3) {
            names.push_back(names[0] + "_scale");
            shards.back().add(names[1], "F32", "[1]", sizeof(float));
        }
        for (const std::string& name : names)
            map += (map.empty() ? "\"" : ",\"") + name + "\":\"" + file + "\"";
    }
    Patterns patterns;
    for (std::size_t i = 0; i < shards.size(); ++i) {
        std::ofstream out(folder + "/part-" + std::to_string(i + 1) + ".safetensors",
                          std::ios::binary);
        out << SafetensorsWriter::with_header("{" + shards[i].header + "}", "");
        for (const Tensor* tensor : shards[i].tensors) {
            write_tensor(out, *tensor, patterns, 1);
            const float scale = 0x1p-5F;
            if (tensor->type == TensorType::fp8_e4m3)
                out.write(reinterpret_cast<const char*>(&scale), sizeof scale);
        }
        if (!out.flush()) return Error(Errc::bad_file, "cannot write to " + folder);
    }
    std::ofstream(folder + "/model.safetensors.index.json") << "{\"weight_map\":{" << map << "}}";
    std::ofstream(folder + "/config.json") << config_json(network, model.facts().architecture);
    std::ofstream(folder + "/tokenizer.json") << byte_tokenizer_json(network.vocab);
    std::ofstream(folder + "/chat_template.jinja") << chat_template;
    return Done{};
}

Status write(const char* name, const char* quant, const char* path) {
    auto shape = make_shape_file(name, quant);
    if (!shape) return shape.error();
    auto network = describe_network(**shape);
    if (!network) return network.error();
    auto words = (*shape)->read_vocabulary();
    if (!words) return words.error();
    if (std::filesystem::is_directory(path)) return write_folder(**shape, *network, path);
    GgufWriter head = metadata(**shape, *network, *words);
    for (const Tensor& tensor : (*shape)->tensors())
        head.declare(tensor.name, tensor.type, tensor.dims, tensor.bytes);
    std::ofstream out(path, std::ios::binary);
    const std::string start = head.bytes();
    out.write(start.data(), static_cast<std::streamsize>(start.size()));
    Patterns patterns;
    for (const Tensor& tensor : (*shape)->tensors())
        write_tensor(out, tensor, patterns, gguf_alignment);
    if (!out.flush()) return Error(Errc::bad_file, std::string("cannot write ") + path);
    std::printf("%s: %.2f GB\n", path, static_cast<double>(out.tellp()) / 1e9);
    return Done{};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: write_shape_file SHAPE QUANT FILE|FOLDER\n", stderr);
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
