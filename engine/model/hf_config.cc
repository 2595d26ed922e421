#include "engine/model/hf_config.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <utility>

#include "engine/model/byte_cursor.h"
#include "engine/model/json_file.h"
#include "engine/model/mapped_file.h"
#include "engine/model/sampling_wishes.h"

namespace sluice {
namespace {

constexpr std::size_t config_bytes_max = 16U << 20;

std::string shown(std::string_view text) { return "is " + in_quotes(text); }

void read_architecture(JsonFields& config, HfConfig& out) {
    const std::string_view type = config.text("model_type").value_or("");
    if (type != "llama" && type != "qwen2")
        config.keep("model_type", type.empty() ? "is missing, supported are llama and qwen2"
                                               : shown(type) + ", supported are llama and qwen2");
    out.network.architecture = type == "qwen2" ? Architecture::qwen2 : Architecture::llama;
    out.facts.architecture = type;
}

void read_sizes(JsonFields& config, NetworkDescription& n) {
    n.layers = config.integer_within("num_hidden_layers", 1, network_limits.layers);
    n.hidden = config.integer_within("hidden_size", 1, network_limits.width);
    n.ffn = config.integer_within("intermediate_size", 1, network_limits.width);
    n.vocab = config.integer_within("vocab_size", 1, network_limits.vocab);
    n.context_tokens = config.integer_within("max_position_embeddings", 1, network_limits.context);
    n.query_heads = config.integer_within("num_attention_heads", 1, network_limits.width);
    n.kv_heads =
        config.integer_within("num_key_value_heads", 1, network_limits.width, n.query_heads);
    n.norm_eps = config.positive("rms_norm_eps", 1e-6);
    if (!config.ok()) return;
    n.head_dim =
        config.integer_within("head_dim", 1, network_limits.width, n.hidden / n.query_heads);
    n.rope_dims = n.head_dim;
    if (!config.ok()) return;
    if (n.query_heads % n.kv_heads != 0)
        config.keep("num_attention_heads", "is " + std::to_string(n.query_heads) +
                                               ", expected a multiple of num_key_value_heads " +
                                               std::to_string(n.kv_heads));
    if (n.head_dim % 2 != 0)
        config.keep("head_dim", "is " + std::to_string(n.head_dim) + ", expected an even number");
    if (static_cast<std::int64_t>(n.query_heads) * n.head_dim > network_limits.width)
        config.keep("head_dim", "makes the heads wider than " +
                                    std::to_string(network_limits.width) + " together");
}

// What would make it another network.
void read_switches(JsonFields& config, NetworkDescription& n) {
    const bool qwen2 = n.architecture == Architecture::qwen2;
    const std::string_view activation = config.text("hidden_act").value_or("silu");
    if (activation != "silu") config.keep("hidden_act", shown(activation) + ", supported is silu");
    if (config.boolean("mlp_bias").value_or(false))
        config.keep("mlp_bias", "is true, which is not supported");
    if (config.boolean("use_sliding_window").value_or(false))
        config.keep("use_sliding_window", "is true, which is not supported");
    if (config.number("partial_rotary_factor").value_or(1.0) != 1.0)
        config.keep("partial_rotary_factor", "is not 1, which is not supported");
    n.qkv_bias = qwen2 || config.boolean("attention_bias").value_or(false);
    n.tied_embeddings = config.boolean("tie_word_embeddings").value_or(false);
}

// Llama 3.1's stretching: low frequencies are divided by `factor`, high ones stay, those between
// go smoothly from one to the other. Source: transformers' rope_type "llama3".
void set_llama3_factors(JsonFields& rope, NetworkDescription& n) {
    const double factor = rope.positive("factor");
    const double low = rope.positive("low_freq_factor");
    const double high = rope.positive("high_freq_factor");
    const double context = rope.positive("original_max_position_embeddings");
    if (!rope.ok()) return;
    if (high <= low) return rope.keep("high_freq_factor", "is not above low_freq_factor");
    for (std::size_t i = 0; i < n.rope_factors.size(); ++i) {
        const double exponent = 2.0 * static_cast<double>(i) / n.rope_dims;
        const double wave = 2.0 * std::numbers::pi * std::pow(double{n.rope_theta}, exponent);
        const double turns = context / wave;  // within the original context
        if (turns > high) continue;
        const double kept = turns < low ? 0.0 : (turns - low) / (high - low);
        n.rope_factors[i] = static_cast<float>(1.0 / ((1.0 - kept) / factor + kept));
    }
}

// rope_scaling beside rope_theta, or both in rope_parameters as newer files have it.
void read_rotation(JsonFields& config, NetworkDescription& n) {
    auto parameters = config.object("rope_parameters");
    auto rope = parameters ? parameters : config.object("rope_scaling");
    n.rope_theta = config.positive("rope_theta", 10000.0);
    if (parameters) n.rope_theta = parameters->positive("rope_theta", n.rope_theta);
    n.rope_factors.assign(static_cast<std::size_t>(n.rope_dims / 2), 1.0F);
    if (!rope || !config.ok()) return;
    auto type = rope->text("rope_type");
    if (!type) type = rope->text("type");
    if (!type || type == "default") return;
    if (type == "llama3") return set_llama3_factors(*rope, n);
    if (type == "linear")
        return n.rope_factors.assign(n.rope_factors.size(), rope->positive("factor"));
    rope->keep("rope_type", shown(*type) + ", supported are default, linear and llama3");
}

// compressed-tensors' way to say how weights are kept; which tensors are fp8 the tensors say.
void check_group(JsonFields group) {
    auto weights = group.object("weights");
    if (!weights) return;
    if (weights->integer("num_bits").value_or(8) != 8)
        weights->keep("num_bits", "is not 8, which is not supported");
    const std::string_view type = weights->text("type").value_or("float");
    if (type != "float") weights->keep("type", shown(type) + ", supported is float");
    const std::string_view strategy = weights->text("strategy").value_or("tensor");
    if (strategy != "tensor" && strategy != "channel")
        weights->keep("strategy", shown(strategy) + ", supported are tensor and channel");
}

void check_quantisation(JsonFields& config) {
    auto quant = config.object("quantization_config");
    if (!quant) return;
    const std::string_view method = quant->text("quant_method").value_or("");
    if (method != "compressed-tensors" && method != "fbgemm_fp8" && method != "fp8")
        return quant->keep("quant_method",
                           shown(method) + ", supported are compressed-tensors, fbgemm_fp8, fp8");
    if (quant->array("weight_block_size"))
        quant->keep("weight_block_size",
                    "is set: scales of blocks are not supported, those of tensors and of rows are");
    if (method != "compressed-tensors") return;
    const std::string_view format = quant->text("format").value_or("float-quantized");
    if (format != "float-quantized" && format != "naive-quantized")
        quant->keep("format", shown(format) + ", supported is float-quantized");
    auto groups = quant->object("config_groups");
    if (!groups) return;
    for (auto [name, group] : groups->all())
        if (group.is_object()) check_group(groups->within(name, group));
}

Status read_config(const std::string& folder, HfConfig& out) {
    auto file = JsonFile::read(folder + "/config.json", config_bytes_max);
    if (!file) return file.error();
    JsonFields& config = file->fields();
    read_architecture(config, out);
    read_sizes(config, out.network);
    if (config.ok()) read_switches(config, out.network);
    if (config.ok()) read_rotation(config, out.network);
    if (config.ok()) check_quantisation(config);
    out.end_tokens = config.integers("eos_token_id").value_or(std::vector<std::int64_t>());
    return file->status();
}

// null, and a list of nothing
bool says_nothing(JsonElement value) {
    return value.is_null() || (value.is_array() && value.get_array().size() == 0) ||
           (value.is_object() && value.get_object().size() == 0);
}

// What would choose other tokens, said other than as nothing, and has no word here.
void name_ignored(const JsonFields& fields, ModelFacts& facts) {
    struct Field {
        std::string_view name;
        double nothing;
    };
    constexpr Field numbers[] = {{"typical_p", 1.0},
                                 {"epsilon_cutoff", 0.0},
                                 {"eta_cutoff", 0.0},
                                 {"top_h", 1.0},
                                 {"penalty_alpha", 0.0},
                                 {"encoder_repetition_penalty", 1.0},
                                 {"no_repeat_ngram_size", 0.0},
                                 {"min_length", 0.0},
                                 {"min_new_tokens", 0.0},
                                 {"num_beams", 1.0},
                                 {"num_beam_groups", 1.0},
                                 {"forced_eos_token_id", -1.0}};
    for (auto [name, value] : fields.all()) {
        if (says_nothing(value)) continue;
        double number = 0.0;
        for (const Field& field : numbers)
            if (name == field.name &&
                (value.get(number) != simdjson::SUCCESS || number != field.nothing))
                ignore_wish(facts, name);
        const bool list = value.is_array() || value.is_object();
        if (list && (name == "bad_words_ids" || name == "suppress_tokens" ||
                     name == "begin_suppress_tokens" || name == "sequence_bias"))
            ignore_wish(facts, name);
    }
}

void read_wishes(const JsonFields& fields, ModelFacts& facts) {
    const auto take = [&](auto& fact, std::string_view name, auto taken) {
        JsonElement value;
        if (fields.all().at_key(name).get(value) != simdjson::SUCCESS || value.is_null()) return;
        double number = 0.0;
        const bool is_number = value.get(number) == simdjson::SUCCESS;
        take_wish(facts, fact, name, taken(is_number ? std::optional(number) : std::nullopt));
    };
    take(facts.temperature, "temperature", wished_temperature);
    take(facts.top_p, "top_p", wished_top_p);
    take(facts.top_k, "top_k", wished_top_k);
    take(facts.min_p, "min_p", wished_min_p);
    take(facts.repetition_penalty, "repetition_penalty", wished_repetition_penalty);
    JsonElement value;
    if (fields.all().at_key("do_sample").get(value) == simdjson::SUCCESS && !value.is_null()) {
        bool samples = true;
        if (value.get(samples) != simdjson::SUCCESS) ignore_wish(facts, "do_sample");
        if (!samples) facts.temperature = 0.0F;  // greedy
    }
    name_ignored(fields, facts);
}

Status read_generation(const std::string& folder, HfConfig& out) {
    const std::string path = folder + "/generation_config.json";
    if (!file_exists(path)) return Done{};
    auto file = JsonFile::read(path, config_bytes_max);
    if (!file) return file.error();
    JsonFields& fields = file->fields();
    if (auto ends = fields.integers("eos_token_id")) out.end_tokens = *ends;
    read_wishes(fields, out.facts);
    return file->status();
}

// The file of its own goes first, as in transformers; a list gives the one named "default".
Status read_template(const std::string& folder, ModelFacts& facts) {
    const std::string own_path = folder + "/chat_template.jinja";
    if (file_exists(own_path)) {
        MappedFile own;
        Status opened = own.open(own_path, config_bytes_max);
        if (opened) facts.chat_template.assign(own.bytes().begin(), own.bytes().end());
        return opened;
    }
    const std::string path = folder + "/tokenizer_config.json";
    if (!file_exists(path)) return Done{};
    auto file = JsonFile::read(path, config_bytes_max);
    if (!file) return file.error();
    JsonFields& fields = file->fields();
    JsonElement found;
    if (fields.all().at_key("chat_template").get(found) != simdjson::SUCCESS) return Done{};
    if (!found.is_array()) {
        facts.chat_template = fields.text("chat_template").value_or("");
        return file->status();
    }
    for (JsonElement one : elements_of(found)) {
        if (!one.is_object()) continue;
        JsonFields named = fields.within("chat_template", one);
        if (named.text("name") == "default")
            facts.chat_template = named.text("template").value_or("");
    }
    if (facts.chat_template.empty())
        fields.keep("chat_template", "is a list without a template named 'default'");
    return file->status();
}

}  // namespace

Result<HfConfig> read_hf_config(const std::string& folder) {
    HfConfig out;
    Status read = read_config(folder, out);
    if (read) read = read_generation(folder, out);
    if (read) read = read_template(folder, out.facts);
    if (!read) return read.error();
    std::filesystem::path named(folder);
    if (!named.has_filename()) named = named.parent_path();
    out.facts.name = named.filename().string();
    return out;
}

}  // namespace sluice
