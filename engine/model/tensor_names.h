// How Hugging Face names the tensors of a Llama or Qwen2 network, and what GGUF, whose names the
// engine uses, calls them. Names that neither knows stay as they are. Pure: any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

std::string gguf_tensor_name(std::string_view hf_name);  // "blk.0.attn_q.weight"
std::string hf_tensor_name(std::string_view gguf_name);  // "model.layers.0.self_attn.q_proj.weight"

// A tensor that a folder may hold and the engine computes for itself: scales of activations and of
// the KV cache, the frequencies of rotation.
bool is_unread_tensor(std::string_view hf_name);

}  // namespace sluice
