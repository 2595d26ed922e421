#include "engine/text/vocabulary.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

constexpr std::string_view end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<|end_of_text|>",
    "<turn|>",
    "<end_of_utterance>",
    "[e~[",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
};

}  // namespace

bool ends_generation(std::string_view text) {
    return std::ranges::find(end_texts, text) != std::end(end_texts);
}

}  // namespace sluice
