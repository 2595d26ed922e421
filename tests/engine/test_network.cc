#include <catch2/catch.hpp>
#include <functional>
#include <map>

#include "engine/model/network.h"
#include "tests/engine/tiny_model.h"

using namespace sluice;

namespace {

// A GgufFile that exists only as names and shapes: networks of any size can be described.
class ShapesOnly final : public GgufFile {
public:
    std::map<std::string, std::int64_t, std::less<>> integers_by_key;
    std::map<std::string, double, std::less<>> reals_by_key;
    std::map<std::string, std::string, std::less<>> texts_by_key;
    std::vector<Tensor> list;

    void add(const std::string& name, TensorType type, std::vector<std::int64_t> dims) {
        names_.push_back(std::make_unique<std::string>(name));
        Tensor tensor;
        tensor.name = *names_.back();
        tensor.type = type;
        tensor.dims = std::move(dims);
        tensor.file_offset = 1000 + list.size();
        list.push_back(tensor);
    }

    bool has(std::string_view key) const override { return integer(key) || real(key) || text(key); }
    std::optional<std::int64_t> integer(std::string_view key) const override {
        return find(integers_by_key, key);
    }
    std::optional<double> real(std::string_view key) const override {
        return find(reals_by_key, key);
    }
    std::optional<std::string_view> text(std::string_view key) const override {
        auto at = texts_by_key.find(key);
        if (at == texts_by_key.end()) return std::nullopt;
        return std::string_view(at->second);
    }
    std::optional<std::vector<std::string_view>> texts(std::string_view) const override {
        return std::nullopt;
    }
    std::optional<std::vector<std::int64_t>> integers(std::string_view) const override {
        return std::nullopt;
    }
    std::optional<std::vector<float>> reals(std::string_view) const override {
        return std::nullopt;
    }
    const Tensor* tensor(std::string_view name) const override {
        for (const Tensor& tensor : list)
            if (tensor.name == name) return &tensor;
        return nullptr;
    }
    std::span<const Tensor> tensors() const override { return list; }
    const std::string& path() const override { return path_; }

private:
    template <class Value>
    static std::optional<Value> find(const std::map<std::string, Value, std::less<>>& from,
                                     std::string_view key) {
        auto at = from.find(key);
        if (at == from.end()) return std::nullopt;
        return at->second;
    }
    std::string path_ = "model.gguf";
    std::vector<std::unique_ptr<std::string>> names_;
};

struct Sizes {
    std::int64_t layers, hidden, query_heads, kv_heads, ffn, vocab, context;
};

// As llama-quantize lays out Q4_K_M: values, half of the down projections and the output in q6_k.
ShapesOnly k_quant_file(const std::string& architecture, Sizes s, bool bias) {
    ShapesOnly file;
    file.texts_by_key["general.architecture"] = architecture;
    auto& i = file.integers_by_key;
    i[architecture + ".block_count"] = s.layers;
    i[architecture + ".embedding_length"] = s.hidden;
    i[architecture + ".feed_forward_length"] = s.ffn;
    i[architecture + ".context_length"] = s.context;
    i[architecture + ".attention.head_count"] = s.query_heads;
    i[architecture + ".attention.head_count_kv"] = s.kv_heads;
    file.reals_by_key[architecture + ".rope.freq_base"] = 1e6;
    file.reals_by_key[architecture + ".attention.layer_norm_rms_epsilon"] = 1e-5;
    std::int64_t kv_width = s.hidden / s.query_heads * s.kv_heads;
    file.add("token_embd.weight", TensorType::q4_k, {s.hidden, s.vocab});
    file.add("output_norm.weight", TensorType::f32, {s.hidden});
    file.add("output.weight", TensorType::q6_k, {s.hidden, s.vocab});
    for (int layer = 0; layer < s.layers; ++layer) {
        std::string prefix = "blk." + std::to_string(layer) + ".";
        TensorType mixed = layer % 2 == 0 ? TensorType::q6_k : TensorType::q4_k;
        file.add(prefix + "attn_norm.weight", TensorType::f32, {s.hidden});
        file.add(prefix + "attn_q.weight", TensorType::q4_k, {s.hidden, s.hidden});
        file.add(prefix + "attn_k.weight", TensorType::q4_k, {s.hidden, kv_width});
        file.add(prefix + "attn_v.weight", mixed, {s.hidden, kv_width});
        if (bias) {
            file.add(prefix + "attn_q.bias", TensorType::f32, {s.hidden});
            file.add(prefix + "attn_k.bias", TensorType::f32, {kv_width});
            file.add(prefix + "attn_v.bias", TensorType::f32, {kv_width});
        }
        file.add(prefix + "attn_output.weight", TensorType::q4_k, {s.hidden, s.hidden});
        file.add(prefix + "ffn_norm.weight", TensorType::f32, {s.hidden});
        file.add(prefix + "ffn_gate.weight", TensorType::q4_k, {s.hidden, s.ffn});
        file.add(prefix + "ffn_up.weight", TensorType::q4_k, {s.hidden, s.ffn});
        file.add(prefix + "ffn_down.weight", mixed, {s.ffn, s.hidden});
    }
    return file;
}

const Sizes qwen_32b = {64, 5120, 40, 8, 27648, 152064, 131072};
const Sizes llama_70b = {80, 8192, 64, 8, 28672, 128256, 131072};

}  // namespace

TEST_CASE("a 32B Qwen2 in K-quants is described", "[network]") {
    ShapesOnly file = k_quant_file("qwen2", qwen_32b, true);
    auto network = describe_network(file);
    REQUIRE(network);
    CHECK(network->architecture == Architecture::qwen2);
    CHECK(network->layers == 64);
    CHECK(network->hidden == 5120);
    CHECK(network->query_heads == 40);
    CHECK(network->kv_heads == 8);
    CHECK(network->head_dim == 128);
    CHECK(network->ffn == 27648);
    CHECK(network->vocab == 152064);
    CHECK(network->context_tokens == 131072);
    CHECK(network->qkv_bias);
    CHECK_FALSE(network->tied_embeddings);
    CHECK_FALSE(network->permuted_qk);
    CHECK(network->rope_dims == 128);
    CHECK(network->rope_factors == std::vector<float>(64, 1.0F));
    auto weights = find_weights(file, *network);
    REQUIRE(weights);
    CHECK(weights->layers.size() == 64);
    CHECK(weights->layers[63].down->name == "blk.63.ffn_down.weight");
    CHECK(weights->layers[0].key_bias->name == "blk.0.attn_k.bias");
}

TEST_CASE("a Llama 70B in K-quants is described, with its rotation factors", "[network]") {
    ShapesOnly file = k_quant_file("llama", llama_70b, false);
    std::vector<float> factors(64, 8.0F);
    factors[0] = 1.0F;
    file.add("rope_freqs.weight", TensorType::f32, {64});
    file.list.back().data = reinterpret_cast<const std::uint8_t*>(factors.data());
    auto network = describe_network(file);
    REQUIRE(network);
    CHECK(network->permuted_qk);
    CHECK_FALSE(network->qkv_bias);
    CHECK(network->head_dim == 128);
    CHECK(network->rope_factors == factors);
}

TEST_CASE("a network that does not fit its file is refused by name and offset", "[network]") {
    struct Case {
        std::function<void(ShapesOnly&)> damage;
        std::string message;
    };
    auto tensor = [](ShapesOnly& file, const char* name) -> Tensor& {
        return *const_cast<Tensor*>(file.tensor(name));
    };
    const Case cases[] = {
        {[](ShapesOnly& f) { f.texts_by_key["general.architecture"] = "mamba"; },
         "general.architecture is 'mamba', supported are llama and qwen2"},
        {[](ShapesOnly& f) { f.texts_by_key.clear(); },
         "general.architecture is missing, supported are llama and qwen2"},
        {[](ShapesOnly& f) { f.integers_by_key.erase("qwen2.block_count"); },
         "metadata key qwen2.block_count is missing or of another type, expected an integer"},
        {[](ShapesOnly& f) { f.integers_by_key["qwen2.attention.head_count"] = 0; },
         "qwen2.attention.head_count is 0, expected 1..1048576"},
        {[](ShapesOnly& f) { f.integers_by_key["qwen2.attention.head_count_kv"] = 7; },
         "attention.head_count 40 is not a multiple of attention.head_count_kv 7"},
        {[](ShapesOnly& f) { f.reals_by_key["qwen2.rope.freq_base"] = -1.0; },
         "qwen2.rope.freq_base is -1.000000, expected a number above 0"},
        {[](ShapesOnly& f) { f.integers_by_key["qwen2.rope.dimension_count"] = 130; },
         "rope.dimension_count is 130, expected an even number up to the head's 128"},
        {[](ShapesOnly& f) { f.texts_by_key["qwen2.rope.scaling.type"] = "yarn"; },
         "qwen2.rope.scaling.type is 'yarn', supported are none and linear"},
        {[](ShapesOnly& f) { f.integers_by_key["qwen2.expert_count"] = 8; },
         "expert_count is above 0: mixtures of experts are not supported"},
        {[&](ShapesOnly& f) {
             tensor(f, "blk.3.attn_k.weight").dims = {5120, 1023};
         },
         "tensor 'blk.3.attn_k.weight' at offset 1041 has shape [5120, 1023], expected "
         "[5120, 1024]"},
        {[&](ShapesOnly& f) { tensor(f, "blk.3.attn_k.weight").name = "blk.3.attn_z.weight"; },
         "tensor 'blk.3.attn_k.weight' [5120, 1024] is missing"},
        {[&](ShapesOnly& f) { tensor(f, "output_norm.weight").type = TensorType::f16; },
         "tensor 'output_norm.weight' at offset 1001 is f16, expected f32"},
        {[](ShapesOnly& f) {
             f.add("blk.0.ffn_gate_inp.weight", TensorType::f32, {5120, 8});
         },
         "tensor 'blk.0.ffn_gate_inp.weight' at offset 1771 has no place in this architecture"},
        {[&](ShapesOnly& f) { tensor(f, "token_embd.weight").dims = {5120}; },
         "tensor 'token_embd.weight' at offset 1000 has shape [5120], expected [5120, tokens]"},
    };
    for (const Case& c : cases) {
        ShapesOnly file = k_quant_file("qwen2", qwen_32b, true);
        c.damage(file);
        auto network = describe_network(file);
        REQUIRE(!network);
        CHECK(network.error().code == Errc::bad_file);
        CHECK(network.error().message == "model.gguf: " + c.message);
    }
}

TEST_CASE("linear rotation scaling divides every frequency", "[network]") {
    ShapesOnly file = k_quant_file("llama", llama_70b, false);
    file.texts_by_key["llama.rope.scaling.type"] = "linear";
    CHECK(!describe_network(file));  // by what?
    file.reals_by_key["llama.rope.scaling.factor"] = 4.0;
    auto network = describe_network(file);
    REQUIRE(network);
    CHECK(network->rope_factors == std::vector<float>(64, 4.0F));
}

TEST_CASE("a row whose columns do not fill a block is refused", "[network]") {
    ShapesOnly file = k_quant_file("llama", {1, 576, 9, 3, 1536, 100, 64}, false);
    auto network = describe_network(file);
    REQUIRE(!network);
    CHECK(network.error().message ==
          "model.gguf: tensor 'token_embd.weight' at offset 1000: rows of 576 weights do not fill "
          "blocks of q4_k");
}

TEST_CASE("tied embeddings serve as the output", "[network]") {
    TinyModel model;
    model.tied = true;
    TempFile path(model.bytes());
    auto file = GgufFile::open(path.path());
    REQUIRE(file);
    auto network = describe_network(**file);
    REQUIRE(network);
    CHECK(network->tied_embeddings);
    auto weights = find_weights(**file, *network);
    REQUIRE(weights);
    CHECK(weights->output == weights->embedding);
}

TEST_CASE("permuted rows go to the pairs that rotate together", "[network]") {
    const int expected[] = {0, 3, 1, 4, 2, 5, 6, 7};
    for (int row = 0; row < 8; ++row) {
        CHECK(unpermuted_row(row, 8, 6) == expected[row]);
        CHECK(unpermuted_row(row + 16, 8, 6) == expected[row] + 16);
    }
}
