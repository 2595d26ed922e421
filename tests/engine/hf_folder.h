// Hugging Face model folders for tests: files of any content, and small models whose weights follow
// from an integer formula, so that compare_transformers.py can make the same ones.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/byte_alphabet.h"

namespace sluice {

// A folder of its own that is gone when destroyed.
class HfFolder {
public:
    HfFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice_test_XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder");
        path_ = name;
    }
    HfFolder(const HfFolder&) = delete;
    HfFolder& operator=(const HfFolder&) = delete;
    ~HfFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    void write(const std::string& name, std::string_view bytes) const {
        std::ofstream out(path_ + "/" + name, std::ios::binary);
        out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        if (!out) throw std::runtime_error("cannot write " + name);
    }
    void remove(const std::string& name) const { std::filesystem::remove(path_ + "/" + name); }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

// Writes a .safetensors file: tensors one behind the other, shapes as rows and columns.
class SafetensorsWriter {
public:
    void tensor(const std::string& name, const std::string& dtype,
                const std::vector<std::int64_t>& shape, std::string_view data) {
        std::string sizes;
        for (std::int64_t dim : shape) sizes += (sizes.empty() ? "" : ",") + std::to_string(dim);
        header_ += (header_.empty() ? "" : ",") + ("\"" + name + "\":{\"dtype\":\"" + dtype) +
                   "\",\"shape\":[" + sizes + "],\"data_offsets\":[" +
                   std::to_string(data_.size()) + "," + std::to_string(data_.size() + data.size()) +
                   "]}";
        data_ += data;
    }
    std::string bytes() const { return with_header("{" + header_ + "}", data_); }

    static std::string with_header(std::string header, const std::string& data) {
        header.resize((header.size() + 7) / 8 * 8, ' ');
        const std::uint64_t length = header.size();
        std::string out(sizeof length, '\0');
        std::memcpy(out.data(), &length, sizeof length);
        return out + header + data;
    }

private:
    std::string header_;
    std::string data_;
};

// Bytes of the whole byte alphabet, then "<n>" up to `vocab`; no merges.
inline std::string byte_tokenizer_json(int vocab, const std::string& rest = "") {
    std::string entries;
    for (int id = 0; id < vocab; ++id) {
        std::string text =
            id < 256 ? spelling_of(static_cast<unsigned char>(id)) : "<" + std::to_string(id) + ">";
        if (text == "\"" || text == "\\") text.insert(0, "\\");
        entries += (id > 0 ? ",\"" : "\"") + text + "\":" + std::to_string(id);
    }
    return R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)" + rest +
           R"("model":{"type":"BPE","vocab":{)" + entries + R"(},"merges":[]}})";
}

// A small network; what is not said is as in HashedModel::config_json().
struct HashedModel {
    std::string name, type;
    int layers, hidden, query_heads, kv_heads, head_dim, ffn;
    bool tied;
    bool llama3_rope;
    int vocab = 1024;

    bool bias() const { return type == "qwen2"; }

    std::string config_json() const {
        auto number = [](const char* key, int value) {
            return "\"" + std::string(key) + "\":" + std::to_string(value) + ",";
        };
        std::string rope = llama3_rope
                               ? R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,)"
                                 R"("high_freq_factor":4.0,"original_max_position_embeddings":64})"
                               : "null";
        return "{\"model_type\":\"" + type + "\"," + number("num_hidden_layers", layers) +
               number("hidden_size", hidden) + number("num_attention_heads", query_heads) +
               number("num_key_value_heads", kv_heads) + number("head_dim", head_dim) +
               number("intermediate_size", ffn) + number("vocab_size", vocab) +
               number("max_position_embeddings", 4096) +
               "\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,\"hidden_act\":\"silu\"," +
               "\"rope_scaling\":" + rope +
               ",\"tie_word_embeddings\":" + (tied ? "true" : "false") + "}";
    }

    // What a weight's name says of how large it is: weight = code * 2^-shift, code in -128..127.
    static int shift_of(const std::string& name) {
        if (name.ends_with(".bias")) return 8;
        return name.ends_with("down_proj.weight") ? 12 : 11;
    }
    // The same integers as in compare_transformers.py.
    static int code(std::uint32_t seed, std::uint32_t index) {
        std::uint32_t x = index * 2654435761U + seed;
        x ^= x >> 16;
        x *= 0x7FEB352DU;
        x ^= x >> 15;
        x *= 0x846CA68BU;
        x ^= x >> 16;
        return static_cast<int>(x >> 24) - 128;
    }
    static std::uint32_t seed_of(const std::string& name) {  // FNV-1a
        std::uint32_t hash = 2166136261U;
        for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
        return hash;
    }
    static std::uint16_t bfloat(float exact) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &exact, sizeof bits);
        return static_cast<std::uint16_t>(bits >> 16);
    }
    static std::string values(const std::string& name, std::int64_t count) {
        std::string out(static_cast<std::size_t>(count) * 2, '\0');
        const std::uint32_t seed = seed_of(name);
        const bool norm = name.ends_with("norm.weight");
        const float unit = norm ? 0x1p-6F : 1.0F / static_cast<float>(1 << shift_of(name));
        for (std::int64_t i = 0; i < count; ++i) {
            const int k = code(seed, static_cast<std::uint32_t>(i));
            const float value =
                norm ? 1.0F + static_cast<float>(k >> 3) * unit : static_cast<float>(k) * unit;
            const std::uint16_t bits = bfloat(value);
            std::memcpy(out.data() + 2 * i, &bits, sizeof bits);
        }
        return out;
    }

    // Name and shape of every tensor.
    std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors() const {
        const int query = query_heads * head_dim;
        const int kv = kv_heads * head_dim;
        std::vector<std::pair<std::string, std::vector<std::int64_t>>> out = {
            {"model.embed_tokens.weight", {vocab, hidden}}, {"model.norm.weight", {hidden}}};
        if (!tied) out.push_back({"lm_head.weight", {vocab, hidden}});
        for (int layer = 0; layer < layers; ++layer) {
            const std::string p = "model.layers." + std::to_string(layer) + ".";
            out.push_back({p + "input_layernorm.weight", {hidden}});
            out.push_back({p + "self_attn.q_proj.weight", {query, hidden}});
            out.push_back({p + "self_attn.k_proj.weight", {kv, hidden}});
            out.push_back({p + "self_attn.v_proj.weight", {kv, hidden}});
            if (bias()) {
                out.push_back({p + "self_attn.q_proj.bias", {query}});
                out.push_back({p + "self_attn.k_proj.bias", {kv}});
                out.push_back({p + "self_attn.v_proj.bias", {kv}});
            }
            out.push_back({p + "self_attn.o_proj.weight", {hidden, query}});
            out.push_back({p + "post_attention_layernorm.weight", {hidden}});
            out.push_back({p + "mlp.gate_proj.weight", {ffn, hidden}});
            out.push_back({p + "mlp.up_proj.weight", {ffn, hidden}});
            out.push_back({p + "mlp.down_proj.weight", {hidden, ffn}});
        }
        return out;
    }

    void write_to(const HfFolder& folder) const {
        SafetensorsWriter file;
        for (const auto& [tensor, shape] : tensors()) {
            std::int64_t count = 1;
            for (std::int64_t dim : shape) count *= dim;
            file.tensor(tensor, "BF16", shape, values(tensor, count));
        }
        folder.write("model.safetensors", file.bytes());
        folder.write("config.json", config_json());
        folder.write("tokenizer.json", byte_tokenizer_json(vocab));
    }
};

// As in compare_transformers.py.
inline const std::vector<HashedModel>& hashed_models() {
    static const std::vector<HashedModel> all = {
        {"qwen2_group5", "qwen2", 3, 640, 10, 2, 64, 1792, false, false},
        {"qwen2_group7", "qwen2", 2, 512, 14, 2, 128, 1024, true, false},
        {"llama_scaled", "llama", 3, 640, 10, 2, 64, 1792, false, true},
        {"qwen2_heads128", "qwen2", 2, 640, 10, 2, 128, 1792, false, false},
    };
    return all;
}

// Of less than a page of keys, and of more.
inline const std::vector<std::vector<std::int32_t>>& hashed_prompts() {
    static const std::vector<std::vector<std::int32_t>> all = [] {
        std::vector<std::vector<std::int32_t>> out;
        for (const int length : {48, 136, 200}) {
            const int offset = 5 + 97 * static_cast<int>(out.size());
            std::vector<std::int32_t>& tokens = out.emplace_back();
            for (int i = 0; i < length; ++i) tokens.push_back((i * i * 7 + i * 31 + offset) % 1024);
        }
        return out;
    }();
    return all;
}

}  // namespace sluice
