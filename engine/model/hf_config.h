// What the JSON files of a Hugging Face model folder say: the network's numbers (config.json), how
// its weights are kept, which tokens end an answer and how to sample (generation_config.json), and
// the chat template (chat_template.jinja or tokenizer_config.json).
// Pure: any thread. Errors: bad_file, naming the file and the field.
// Field names and defaults: Hugging Face transformers, Qwen2Config and LlamaConfig.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/model_file.h"
#include "engine/model/network.h"
#include "engine/result.h"

namespace sluice {

struct HfConfig {
    NetworkDescription network;
    ModelFacts facts;
    std::vector<std::int64_t> end_tokens;  // ids; of generation_config.json, else config.json
};

Result<HfConfig> read_hf_config(const std::string& folder);

}  // namespace sluice
