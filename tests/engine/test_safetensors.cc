#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <random>

#include "engine/engine.h"
#include "engine/model/network.h"
#include "engine/model/quant.h"
#include "engine/text/tokenizer.h"
#include "tests/engine/gguf_writer.h"
#include "tests/engine/hf_folder.h"

using namespace sluice;
using Catch::Matchers::Contains;

namespace {

const HashedModel tiny = {"tiny", "qwen2", 2, 32, 4, 2, 8, 48, false, false, 300};

std::string message_of(const std::string& folder) {
    auto file = ModelFile::open(folder);
    if (!file) {
        CHECK(file.error().code == Errc::bad_file);
        return file.error().message;
    }
    auto network = describe_network(**file);
    if (!network) {
        CHECK(network.error().code == Errc::bad_file);
        return network.error().message;
    }
    auto tokenizer = Tokenizer::from_file(**file);
    return tokenizer ? "" : tokenizer.error().message;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a folder of safetensors is a model like any other", "[safetensors]") {
    HfFolder folder;
    tiny.write_to(folder);
    auto file = ModelFile::open(folder.path());
    REQUIRE(file);
    auto network = describe_network(**file);
    if (!network) FAIL(network.error().message);
    CHECK(network->architecture == Architecture::qwen2);
    CHECK(network->layers == 2);
    CHECK(network->head_dim == 8);
    CHECK(network->vocab == 300);
    CHECK(network->qkv_bias);
    CHECK_FALSE(network->tied_embeddings);
    CHECK_FALSE(network->permuted_qk);
    CHECK(network->rope_theta == 10000.0F);
    auto weights = find_weights(**file, *network);
    REQUIRE(weights);
    const Tensor& query = *weights->layers[1].query;
    CHECK(query.type == TensorType::bf16);
    CHECK(query.dims == std::vector<std::int64_t>{32, 32});
    const std::string expected =
        HashedModel::values("model.layers.1.self_attn.q_proj.weight", 32 * 32);
    CHECK(std::memcmp(query.data, expected.data(), expected.size()) == 0);
    // Vectors are f32, the same numbers.
    const std::string norm = HashedModel::values("model.norm.weight", 32);
    for (int i = 0; i < 32; ++i) {
        std::uint16_t bits = 0;
        float value = 0.0F;
        std::memcpy(&bits, norm.data() + 2 * i, sizeof bits);
        std::memcpy(&value, weights->output_norm->data + 4 * i, sizeof value);
        CHECK(value == float_from_bfloat(bits));
    }
    CHECK((*file)->facts().architecture == "qwen2");
}

TEST_CASE("shards are read as their index places them", "[safetensors]") {
    HfFolder folder;
    tiny.write_to(folder);
    folder.remove("model.safetensors");
    SafetensorsWriter shards[2];
    std::string map;
    int next = 0;
    for (const auto& [name, shape] : tiny.tensors()) {
        std::int64_t count = 1;
        for (std::int64_t dim : shape) count *= dim;
        shards[next % 2].tensor(name, "BF16", shape, HashedModel::values(name, count));
        map += (map.empty() ? "\"" : ",\"") + name + "\":\"part-" + std::to_string(next % 2) +
               ".safetensors\"";
        ++next;
    }
    folder.write("part-0.safetensors", shards[0].bytes());
    folder.write("part-1.safetensors", shards[1].bytes());
    const std::string index = R"({"metadata":{"total_size":1},"weight_map":{)" + map + "}}";
    folder.write("model.safetensors.index.json", index);
    CHECK(message_of(folder.path()) == "");

    SECTION("a missing shard is named") {
        folder.remove("part-1.safetensors");
        CHECK_THAT(message_of(folder.path()), Contains("part-1.safetensors: cannot open it"));
    }
    SECTION("a tensor that is in another shard is named") {
        folder.write("model.safetensors.index.json",
                     replaced(index, "lm_head.weight\":\"part-0", "lm_head.weight\":\"part-1"));
        CHECK_THAT(message_of(folder.path()), Contains("tensor 'lm_head.weight' is missing"));
    }
    SECTION("a shard outside the folder is refused") {
        folder.write("model.safetensors.index.json", replaced(index, "part-0", "../part-0"));
        CHECK_THAT(message_of(folder.path()), Contains("expected the name of a file"));
    }
    SECTION("a tensor in two shards is refused") {
        folder.write("part-1.safetensors", shards[0].bytes());
        CHECK_THAT(message_of(folder.path()), Contains("too"));
    }
}

TEST_CASE("a wrong config.json is refused by its field", "[safetensors]") {
    struct Case {
        std::string from, to, message;
    };
    const Case cases[] = {
        {"qwen2", "gpt_neox", "model_type is 'gpt_neox', supported are llama and qwen2"},
        {R"("hidden_size":32)", R"("hidden_size":"32")", "hidden_size is a string"},
        {R"("hidden_size":32,)", "", "hidden_size is missing, expected an integer"},
        {R"("num_key_value_heads":2)", R"("num_key_value_heads":3)",
         "expected a multiple of num_key_value_heads 3"},
        {R"("num_hidden_layers":2)", R"("num_hidden_layers":3)",
         "tensor 'model.layers.2.input_layernorm.weight' [32] is missing"},
        {R"("num_hidden_layers":2)", R"("num_hidden_layers":1)",
         "has no place in this architecture"},
        {R"("intermediate_size":48)", R"("intermediate_size":56)",
         "tensor 'model.layers.0.mlp.gate_proj.weight' at offset"},
        {R"("intermediate_size":48)", R"("intermediate_size":56)",
         "has shape [48, 32], expected [56, 32]"},
        {"silu", "gelu", "hidden_act is 'gelu', supported is silu"},
        {R"("rope_scaling":null)", R"("rope_scaling":{"rope_type":"yarn"})",
         "rope_scaling.rope_type is 'yarn', supported are default, linear and llama3"},
        {R"("rope_scaling":null)", R"("rope_scaling":{"rope_type":"llama3","factor":8.0})",
         "rope_scaling.low_freq_factor is missing"},
        {R"("rope_scaling":null)", R"("use_sliding_window":true)", "use_sliding_window is true"},
        {R"("rope_scaling":null)", R"("quantization_config":{"quant_method":"gptq"})",
         "quant_method is 'gptq', supported are compressed-tensors"},
        {R"("rope_scaling":null)",
         R"("quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]})",
         "weight_block_size is set: scales of blocks are not supported"},
        {R"("rope_scaling":null)",
         R"("quantization_config":{"quant_method":"compressed-tensors","config_groups":{"group_0":)"
         R"({"weights":{"num_bits":4,"type":"int","strategy":"group"}}}})",
         "config_groups.group_0.weights.num_bits is not 8"},
        {"{", "", "config.json: not JSON"},
    };
    HfFolder folder;
    tiny.write_to(folder);
    for (const Case& c : cases) {
        folder.write("config.json", replaced(tiny.config_json(), c.from, c.to));
        CHECK_THAT(message_of(folder.path()), Contains(c.message));
    }
    folder.remove("config.json");
    CHECK_THAT(message_of(folder.path()), Contains("config.json: cannot open it"));
    HfFolder empty;
    empty.write("config.json", tiny.config_json());
    CHECK_THAT(message_of(empty.path()), Contains("found neither model.safetensors nor"));
    folder.write("config.json", tiny.config_json());
    CHECK_THAT(message_of(folder.path() + "/model.safetensors"), Contains("give the folder"));
}

TEST_CASE("rotation is stretched as transformers' llama3 does", "[safetensors]") {
    HfFolder folder;
    HashedModel model = tiny;
    model.type = "llama";
    model.llama3_rope = true;
    model.write_to(folder);
    auto file = ModelFile::open(folder.path());
    REQUIRE(file);
    auto network = (*file)->read_network();
    REQUIRE(network);
    // Wavelengths 6.3, 63, 628 and 6283 in a context of 64: kept, between, and divided by 8. The
    // second turns 1.0186 times: (1.0186 - 1) / (4 - 1) of its frequency is kept.
    REQUIRE(network->rope_factors.size() == 4);
    CHECK(network->rope_factors[0] == 1.0F);
    CHECK(network->rope_factors[1] == Approx(1.0 / ((1 - 0.006197) / 8 + 0.006197)).epsilon(1e-4));
    CHECK(network->rope_factors[2] == 8.0F);
    CHECK(network->rope_factors[3] == 8.0F);
    // Newer files keep it in rope_parameters.
    folder.write("config.json", replaced(model.config_json(), R"("rope_scaling":{)",
                                         R"("rope_parameters":{"rope_theta":500000.0,)"));
    auto newer = ModelFile::open(folder.path());
    REQUIRE(newer);
    CHECK((*newer)->read_network()->rope_theta == 500000.0F);
}

TEST_CASE("fp8 weights come with a scale for each row", "[safetensors]") {
    HashedModel model = tiny;
    model.layers = 1;
    auto written = [&](const std::function<void(SafetensorsWriter&, const std::string&,
                                                std::int64_t, std::int64_t)>& add) {
        auto folder = std::make_unique<HfFolder>();
        model.write_to(*folder);
        SafetensorsWriter file;
        for (const auto& [name, shape] : model.tensors()) {
            std::int64_t count = 1;
            for (std::int64_t dim : shape) count *= dim;
            if (name.find("_proj.weight") != std::string::npos) {
                file.tensor(name, "F8_E4M3", shape,
                            std::string(static_cast<std::size_t>(count), '\x38'));
                add(file, name, shape[0], shape[1]);
            } else {
                file.tensor(name, "BF16", shape, HashedModel::values(name, count));
            }
        }
        folder->write("model.safetensors", file.bytes());
        return folder;
    };
    auto floats = [](std::size_t count, float value) {
        return raw_bytes(std::vector<float>(count, value));
    };
    using Writer = SafetensorsWriter;
    auto scale_of = [](const HfFolder& folder, std::size_t row) {
        auto file = ModelFile::open(folder.path());
        if (!file) FAIL(file.error().message);
        REQUIRE(describe_network(**file));
        return (*file)->tensor("blk.0.ffn_up.weight")->row_scale[row];
    };
    auto one = written([&](Writer& file, const std::string& name, std::int64_t, std::int64_t) {
        file.tensor(name + "_scale", "F32", {}, floats(1, 0.5F));
        file.tensor(name.substr(0, name.size() - 6) + "input_scale", "F32", {1}, floats(1, 3.0F));
    });
    CHECK(scale_of(*one, 0) == 0.5F);
    CHECK(scale_of(*one, 47) == 0.5F);
    EngineOptions options;
    options.model_path = one->path();
    auto engine = Engine::open(options);
    REQUIRE(!engine);
    CHECK_THAT(engine.error().message,
               Contains("tensor 'model.layers.0.self_attn.q_proj.weight'") &&
                   Contains("is fp8, which needs device 'cuda'"));
    auto rows =
        written([&](Writer& file, const std::string& name, std::int64_t count, std::int64_t) {
            std::vector<std::uint16_t> scales;
            for (std::int64_t i = 0; i < count; ++i)
                scales.push_back(HashedModel::bfloat(static_cast<float>(i + 1)));
            file.tensor(name + "_scale", "BF16", {count, 1}, raw_bytes(scales));
        });
    CHECK(scale_of(*rows, 0) == 1.0F);
    CHECK(scale_of(*rows, 47) == 48.0F);
    auto none = written([](Writer&, const std::string&, std::int64_t, std::int64_t) {});
    CHECK_THAT(message_of(none->path()),
               Contains("is F8_E4M3, but its scale") && Contains("missing"));
    auto blocks = written([&](Writer& file, const std::string& name, std::int64_t, std::int64_t) {
        file.tensor(name + "_scale_inv", "F32", {1, 1}, floats(1, 0.5F));
    });
    CHECK_THAT(message_of(blocks->path()), Contains("scales blocks, which is not supported"));
    auto wrong = written([&](Writer& file, const std::string& name, std::int64_t, std::int64_t) {
        file.tensor(name + "_scale", "F32", {2}, floats(2, 0.5F));
    });
    CHECK_THAT(message_of(wrong->path()),
               Contains("expected BF16, F16 or F32 of one number or of"));
    auto broken = written([&](Writer& file, const std::string& name, std::int64_t, std::int64_t) {
        file.tensor(name + "_scale", "F32", {1}, floats(1, std::numeric_limits<float>::infinity()));
    });
    CHECK_THAT(message_of(broken->path()), Contains("holds a scale that is not finite"));
}

TEST_CASE("what the makers say of sampling and templates is passed on", "[safetensors]") {
    HfFolder folder;
    tiny.write_to(folder);
    folder.write("generation_config.json",
                 R"({"eos_token_id":[7,9],"temperature":0.6,"top_p":0.95,"do_sample":true})");
    folder.write("tokenizer_config.json", R"({"chat_template":"T","eos_token":"<256>"})");
    auto file = ModelFile::open(folder.path());
    REQUIRE(file);
    CHECK((*file)->facts().temperature == 0.6F);
    CHECK((*file)->facts().top_p == 0.95F);
    CHECK((*file)->facts().chat_template == "T");
    auto tokenizer = Tokenizer::from_file(**file);
    if (!tokenizer) FAIL(tokenizer.error().message);
    for (TokenId end : {7, 9, 256}) CHECK((*tokenizer)->is_end(end));
    CHECK_FALSE((*tokenizer)->is_end(8));
    CHECK((*tokenizer)->eos() == 256);

    folder.write("tokenizer_config.json", R"({"chat_template":[{"name":"tool_use","template":"U"},)"
                                          R"({"name":"default","template":"D"}]})");
    CHECK((*ModelFile::open(folder.path()))->facts().chat_template == "D");
    // As transformers writes it for "no limit": far beyond 64 bits.
    folder.write(
        "tokenizer_config.json",
        R"({"a":"\"12345678901234567890","model_max_length":1000000000000000019884624838656,)"
        R"("b":[0.12345678901234567890,1e5],"chat_template":"L"})");
    CHECK((*ModelFile::open(folder.path()))->facts().chat_template == "L");
    folder.write("chat_template.jinja", "J");
    CHECK((*ModelFile::open(folder.path()))->facts().chat_template == "J");

    folder.write("generation_config.json", R"({"eos_token_id":4000})");
    CHECK_THAT(message_of(folder.path()), Contains("has no token 4000, which eos_token_id names"));
    folder.write("generation_config.json", R"({"top_p":1.5})");
    CHECK(message_of(folder.path()).empty());  // named as ignored
}

TEST_CASE("an engine opens a folder as it opens a file, and answers", "[safetensors]") {
    HfFolder folder;
    tiny.write_to(folder);
    EngineOptions options;
    options.model_path = folder.path();
    options.threads = 1;
    auto engine = Engine::open(options);
    if (!engine) FAIL(engine.error().message);
    Sampling sampling;
    sampling.temperature = 0.0F;
    sampling.tokens_max = 5;
    std::promise<int> told;
    REQUIRE((*engine)->submit((*engine)->tokenizer().encode("hi", false, true), sampling,
                              [&](Piece& piece) {
                                  if (piece.last) told.set_value(piece.generated_tokens);
                                  return true;
                              }));
    CHECK(told.get_future().get() == 5);

    folder.write("tokenizer.json", byte_tokenizer_json(tiny.vocab + 1));
    engine = Engine::open(options);
    REQUIRE(!engine);
    CHECK_THAT(engine.error().message,
               Contains("the tokenizer has 301 tokens, but the embedding rows for 300"));
}

TEST_CASE("rows of the output without a token are never chosen", "[safetensors]") {
    HfFolder folder;
    tiny.write_to(folder);
    constexpr int tokens = 260;
    static_assert(tokens < 300);  // tiny.vocab
    folder.write("tokenizer.json", byte_tokenizer_json(tokens));
    EngineOptions options;
    options.model_path = folder.path();
    options.threads = 1;
    auto engine = Engine::open(options);
    if (!engine) FAIL(engine.error().message);
    REQUIRE((*engine)->tokenizer().vocab_size() == tokens);
    Sampling sampling;
    sampling.temperature = 100.0F;  // as good as any token
    sampling.seed = 3;
    sampling.tokens_max = 400;
    sampling.ignore_end = true;
    sampling.top_logprobs = 20;
    std::vector<TokenId> chosen;
    std::promise<FinishReason> told;
    REQUIRE((*engine)->submit({5}, sampling, [&](Piece& piece) {
        for (const ChosenLogprob& one : piece.logprobs) {
            chosen.push_back(one.chosen.token);
            for (const TokenLogprob& top : one.top) chosen.push_back(top.token);
        }
        if (piece.last) told.set_value(piece.finish);
        return true;
    }));
    CHECK(told.get_future().get() == FinishReason::length);
    CHECK(chosen.size() == 400 * 21);
    CHECK(*std::max_element(chosen.begin(), chosen.end()) < tokens);
}

TEST_CASE("no damage to a model folder does worse than an error", "[safetensors]") {
    HashedModel model = tiny;
    model.layers = 1;
    model.vocab = 260;
    HfFolder folder;
    model.write_to(folder);
    std::mt19937 random(5);
    auto below = [&](std::size_t end) { return random() % static_cast<std::uint32_t>(end); };
    auto bytes_of = [&](const char* name) {
        std::ifstream in(folder.path() + "/" + name, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    int refused = 0;
    for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"}) {
        const std::string whole = bytes_of(name);
        const std::size_t text = std::min<std::size_t>(whole.size(), 3000);  // the header and JSON
        for (int round = 0; round < 150; ++round) {
            folder.write(name, whole.substr(0, below(whole.size())));
            const std::string message = message_of(folder.path());
            CHECK_THAT(message, Contains(folder.path()));
            std::string damaged = whole;
            for (std::uint32_t i = 0; i <= below(3); ++i)
                damaged[below(text)] = static_cast<char>(random());
            folder.write(name, damaged);
            refused += message_of(folder.path()).empty() ? 0 : 1;
        }
        folder.write(name, whole);
        CHECK(message_of(folder.path()) == "");
    }
    CHECK(refused > 300);
}
