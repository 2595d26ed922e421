// A model kept as Hugging Face keeps it: a folder with config.json, model.safetensors or
// model.safetensors.index.json and the shards that it names, tokenizer.json, and, where they are,
// tokenizer_config.json, generation_config.json and chat_template.jinja.
//
// Matrices stay in the mapping as they are (bf16, f16, f32, fp8 e4m3). Vectors become f32, and the
// scales of fp8, one a tensor or one a row, one a row. Scales of activations and of the KV cache
// are left unread: activations are quantised as they come. Q and K rows are in the order of
// rotation, unlike in a GGUF file.
#pragma once

#include <memory>
#include <string>

#include "engine/model/model_file.h"

namespace sluice {

// Errors: bad_file, naming the file, and the tensor and its offset or the field.
Result<std::shared_ptr<const ModelFile>> open_safetensors_model(const std::string& folder);

}  // namespace sluice
