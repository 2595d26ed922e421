#include "engine/model/shape_file.h"

#include <deque>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "engine/model/network.h"
#include "engine/text/vocabulary.h"

namespace sluice {
namespace {

struct Shape {
    std::string_view name;
    std::string_view architecture;
    int layers, hidden, query_heads, kv_heads, ffn, vocab;
    double theta;
};

// From the models' config.json.
constexpr Shape shapes[] = {
    {"r1-distill-qwen-32b", "qwen2", 64, 5120, 40, 8, 27648, 152064, 1e6},
    {"r1-distill-qwen-14b", "qwen2", 48, 5120, 40, 8, 13824, 152064, 1e6},
    {"r1-distill-qwen-7b", "qwen2", 28, 3584, 28, 4, 18944, 152064, 1e4},
    {"r1-distill-qwen-1.5b", "qwen2", 28, 1536, 12, 2, 8960, 151936, 1e4},
    {"r1-distill-llama-8b", "llama", 32, 4096, 32, 8, 14336, 128256, 5e5},
    {"r1-distill-llama-70b", "llama", 80, 8192, 64, 8, 28672, 128256, 5e5},
};
constexpr int context_tokens = 131072;
constexpr int head_dim = 128;

// Which type a file of this quantisation keeps a tensor in. q4_k_m: llama.cpp's mix, where half of
// the layers have attn_v and ffn_down in q6_k.
class Quant {
public:
    static Result<Quant> named(std::string_view name) {
        static const std::map<std::string_view, TensorType> plain = {
            {"q8_0", TensorType::q8_0}, {"q4_0", TensorType::q4_0}, {"bf16", TensorType::bf16}};
        if (name == "q4_k_m") return Quant(TensorType::q4_k, true);
        if (name == "fp8") return Quant(TensorType::fp8_e4m3, false);
        auto found = plain.find(name);
        if (found != plain.end()) return Quant(found->second, false);
        return Error(Errc::bad_config,
                     "quant '" + std::string(name) +
                         "' is not known; known are q4_k_m, q8_0, q4_0, fp8, bf16");
    }
    TensorType of(bool sensitive, int layer, int layers) const {
        const int eighth = layers / 8;
        const bool more = layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 == 2;
        return mixed_ && sensitive && more ? TensorType::q6_k : type_;
    }
    // The 70B's values, which eight heads share, are kept in no fewer than five bits.
    TensorType of_values(int layer, int layers) const {
        constexpr int layers_70b = 80;
        const TensorType type = of(true, layer, layers);
        return type == TensorType::q4_k && layers == layers_70b ? TensorType::q5_k : type;
    }
    TensorType output() const { return mixed_ ? TensorType::q6_k : embedding(); }
    // fp8 checkpoints keep the embedding and the head in bf16.
    TensorType embedding() const {
        return type_ == TensorType::fp8_e4m3 ? TensorType::bf16 : type_;
    }

    Quant() = default;

private:
    Quant(TensorType type, bool mixed) : type_(type), mixed_(mixed) {}
    TensorType type_ = TensorType::bf16;
    bool mixed_ = false;
};

class ShapeFile final : public ModelFile {
public:
    ShapeFile(const Shape& shape, const Quant& quant, std::string_view quant_name)
        : shape_(shape), path_("shape " + std::string(shape.name)) {
        name_ = std::string(shape.name) + " (random " + std::string(quant_name) + ")";
        for (int i = 0; i < shape.vocab; ++i) tokens_.push_back("<" + std::to_string(i) + ">");
        add_tensors(quant);
    }

    ModelFacts facts() const override {
        ModelFacts facts;
        facts.name = name_;
        facts.architecture = shape_.architecture;
        return facts;
    }
    Result<NetworkDescription> read_network() const override {
        NetworkDescription network;
        const bool qwen2 = shape_.architecture == "qwen2";
        network.architecture = qwen2 ? Architecture::qwen2 : Architecture::llama;
        network.layers = shape_.layers;
        network.hidden = shape_.hidden;
        network.query_heads = shape_.query_heads;
        network.kv_heads = shape_.kv_heads;
        network.head_dim = head_dim;
        network.ffn = shape_.ffn;
        network.vocab = shape_.vocab;
        network.context_tokens = context_tokens;
        network.norm_eps = 1e-5F;
        network.rope_theta = static_cast<float>(shape_.theta);
        network.rope_dims = head_dim;
        network.rope_factors.assign(head_dim / 2, 1.0F);
        network.qkv_bias = qwen2;
        network.permuted_qk = !qwen2;  // as the GGUF file has it
        return network;
    }
    Result<Vocabulary> read_vocabulary() const override {
        Vocabulary vocabulary;
        vocabulary.pre = PreTokenizer::qwen2;
        vocabulary.texts.assign(tokens_.begin(), tokens_.end());
        vocabulary.types.assign(tokens_.size(), TokenType::normal);
        return vocabulary;
    }
    const Tensor* tensor(std::string_view name) const override { return tensors_.find(name); }
    std::span<const Tensor> tensors() const override { return tensors_.all(); }
    const std::string& path() const override { return path_; }

private:
    void add(std::string name, TensorType type, std::vector<std::int64_t> dims) {
        Tensor tensor;
        names_.push_back(std::move(name));
        tensor.name = names_.back();
        tensor.type = type;
        tensor.dims = std::move(dims);
        tensor.bytes = tensor.dims[0] / block_weights(type) * block_bytes(type) * tensor.rows();
        tensor.file_offset = static_cast<std::uint64_t>(bytes_);
        bytes_ += tensor.bytes;
        tensors_.add(std::move(tensor));
    }

    void add_tensors(const Quant& quant) {
        const Shape& s = shape_;
        const int query = s.query_heads * head_dim;
        const int kv = s.kv_heads * head_dim;
        constexpr TensorType f32 = TensorType::f32;
        add("token_embd.weight", quant.embedding(), {s.hidden, s.vocab});
        add("output_norm.weight", f32, {s.hidden});
        add("output.weight", quant.output(), {s.hidden, s.vocab});
        for (int layer = 0; layer < s.layers; ++layer) {
            const std::string p = "blk." + std::to_string(layer) + ".";
            const TensorType plain = quant.of(false, layer, s.layers);
            const TensorType sensitive = quant.of(true, layer, s.layers);
            add(p + "attn_norm.weight", f32, {s.hidden});
            add(p + "attn_q.weight", plain, {s.hidden, query});
            add(p + "attn_k.weight", plain, {s.hidden, kv});
            add(p + "attn_v.weight", quant.of_values(layer, s.layers), {s.hidden, kv});
            if (s.architecture == "qwen2") {
                add(p + "attn_q.bias", f32, {query});
                add(p + "attn_k.bias", f32, {kv});
                add(p + "attn_v.bias", f32, {kv});
            }
            add(p + "attn_output.weight", plain, {query, s.hidden});
            add(p + "ffn_norm.weight", f32, {s.hidden});
            add(p + "ffn_gate.weight", plain, {s.hidden, s.ffn});
            add(p + "ffn_up.weight", plain, {s.hidden, s.ffn});
            add(p + "ffn_down.weight", sensitive, {s.ffn, s.hidden});
        }
    }

    const Shape shape_;
    std::string path_;
    std::string name_;
    std::vector<std::string> tokens_;
    std::deque<std::string> names_;
    TensorTable tensors_;
    std::int64_t bytes_ = 0;
};

}  // namespace

Result<std::shared_ptr<const ModelFile>> make_shape_file(std::string_view shape,
                                                         std::string_view quant) {
    auto kept = Quant::named(quant);
    if (!kept) return kept.error();
    std::string known;
    for (const Shape& one : shapes) {
        if (one.name == shape)
            return std::shared_ptr<const ModelFile>(std::make_shared<ShapeFile>(one, *kept, quant));
        known += (known.empty() ? "" : ", ") + std::string(one.name);
    }
    return Error(Errc::bad_config,
                 "shape '" + std::string(shape) + "' is not known; known are " + known);
}

}  // namespace sluice
