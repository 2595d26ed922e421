// Models and requests for the tests of the local provider.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "providers/local/local_provider.h"
#include "tests/fakes/scripted_engine.h"

namespace sluice {

inline const std::string thinking_template =
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}";

inline std::vector<ByteTokenizer::Special> thinking_tokens() {
    return {{"<s>"},        {"<end>", true, true}, {"<|user|>"},       {"<|assistant|>"},
            {"<|system|>"}, {"<think>", false},    {"</think>", false}};
}

inline ScriptedEngine chatml_engine(int context_tokens = 1'000) {
    return ScriptedEngine({{"<|im_start|>"}, {"<|im_end|>", true, true}}, "", context_tokens);
}

inline std::unique_ptr<const LocalProvider> provider_of(const Engine& engine,
                                                        LocalOptions options = {}) {
    auto provider = LocalProvider::create(engine, options);
    INFO((provider ? "" : provider.error().message));
    REQUIRE(provider);
    return *std::move(provider);
}

inline ChatRequest ask(std::string text, Role role = Role::user) {
    ChatRequest request;
    Message message;
    message.role = role;
    Part part;
    part.text = std::move(text);
    message.parts.push_back(std::move(part));
    request.messages.push_back(std::move(message));
    return request;
}

}  // namespace sluice
