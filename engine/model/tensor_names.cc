#include "engine/model/tensor_names.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

struct Names {
    std::string_view hf;
    std::string_view gguf;
};
constexpr Names outside_layers[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};
constexpr Names in_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.q_proj.bias", "attn_q.bias"},
    {"self_attn.k_proj.bias", "attn_k.bias"},
    {"self_attn.v_proj.bias", "attn_v.bias"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
};
constexpr Names layer = {"model.layers.", "blk."};

std::string translated(std::string_view name, std::string_view Names::*from,
                       std::string_view Names::*to) {
    for (const Names& known : outside_layers)
        if (known.*from == name) return std::string(known.*to);
    if (!name.starts_with(layer.*from)) return std::string(name);
    std::string_view rest = name.substr((layer.*from).size());
    const std::size_t dot = rest.find('.');
    if (dot == 0 || dot == std::string_view::npos) return std::string(name);
    const std::string_view number = rest.substr(0, dot);
    if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }))
        return std::string(name);
    for (const Names& known : in_layer)
        if (known.*from == rest.substr(dot + 1))
            return std::string(layer.*to) + std::string(number) + "." + std::string(known.*to);
    return std::string(name);
}

}  // namespace

std::string gguf_tensor_name(std::string_view hf_name) {
    return translated(hf_name, &Names::hf, &Names::gguf);
}
std::string hf_tensor_name(std::string_view gguf_name) {
    return translated(gguf_name, &Names::gguf, &Names::hf);
}

bool is_unread_tensor(std::string_view hf_name) {
    constexpr std::string_view endings[] = {
        ".input_scale", ".input_scale_ub", ".output_scale", ".k_scale",
        ".v_scale",     ".q_scale",        ".prob_scale",   ".rotary_emb.inv_freq",
    };
    return std::ranges::any_of(endings,
                               [&](std::string_view end) { return hf_name.ends_with(end); });
}

}  // namespace sluice
