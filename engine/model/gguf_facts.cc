// What a GGUF file says of its model beside the network. Key names: ggml-org/ggml docs/gguf.md.
#include "engine/model/gguf.h"
#include "engine/model/sampling_wishes.h"

namespace sluice {

ModelFacts GgufFile::facts() const {
    ModelFacts facts;
    facts.name = text("general.name").value_or("");
    facts.architecture = text("general.architecture").value_or("");
    facts.chat_template = text("tokenizer.chat_template").value_or("");
    // As files converted from a generation_config.json have it.
    const auto take = [&](auto& fact, const std::string& name, auto taken) {
        const std::string key = "general.sampling." + name;
        std::optional<double> number = real(key);
        if (const auto whole = integer(key)) number = static_cast<double>(*whole);
        if (has(key)) take_wish(facts, fact, name, taken(number));
    };
    take(facts.temperature, "temp", wished_temperature);
    take(facts.top_p, "top_p", wished_top_p);
    take(facts.top_k, "top_k", wished_top_k);
    take(facts.min_p, "min_p", wished_min_p);
    take(facts.repetition_penalty, "penalty_repeat", wished_repetition_penalty);
    if (integer("general.sampling.mirostat").value_or(0) != 0) ignore_wish(facts, "mirostat");
    if (real("general.sampling.xtc_probability").value_or(0.0) > 0.0)
        ignore_wish(facts, "xtc_probability");
    return facts;
}

}  // namespace sluice
