// A model file of a known model's shape without weights: its tensors have sizes and types, and no
// data. A GPU device fills them with random values, so that its speed can be measured where the
// real file is not at hand. Metadata and vocabulary are made up; token n is the text "<n>".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/model/model_file.h"

namespace sluice {

// "r1-distill-qwen-32b" and its smaller kin, in "q4_k_m", "q8_0", "q4_0", "fp8" or "bf16".
// Errors: bad_config, naming what is known.
Result<std::shared_ptr<const ModelFile>> make_shape_file(std::string_view shape,
                                                         std::string_view quant);

}  // namespace sluice
