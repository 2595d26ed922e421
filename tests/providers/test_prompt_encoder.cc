#include <catch2/catch.hpp>

#include "engine/model/gguf.h"
#include "providers/local/chat_template.h"
#include "providers/local/prompt_encoder.h"
#include "tests/engine/starter_model.h"

using namespace sluice;

namespace {

struct Starter {
    std::shared_ptr<const Tokenizer> tokenizer;
    std::shared_ptr<const ChatTemplate> chat_template;
};

std::optional<Starter> starter() {
    const auto path = starter_model();
    if (!path) {
        WARN("the starter model is not here: deploy/get-model smollm2-135m");
        return std::nullopt;
    }
    auto file = GgufFile::open(*path);
    REQUIRE(file);
    auto tokenizer = Tokenizer::from_file(**file);
    REQUIRE(tokenizer);
    const auto source = (*file)->text("tokenizer.chat_template");
    REQUIRE(source);
    auto parsed = ChatTemplate::parse(*source, "<|im_start|>", "<|im_end|>");
    REQUIRE(parsed);
    return Starter{*tokenizer, *parsed};
}

Message turn(Role role, std::string text) {
    Message message;
    message.role = role;
    message.parts.emplace_back();
    message.parts.back().text = std::move(text);
    return message;
}

}  // namespace

TEST_CASE("a rendered conversation gives llama.cpp's tokens", "[prompt_encoder][model]") {
    const auto model = starter();
    if (!model) return;
    // llama-cpp-python 0.3.36: tokenize(rendered, add_bos=False, special=True).
    const std::vector<TokenId> one_turn = {1,     9690,  198,  2683, 359,   253,  5356, 5646,
                                           11173, 3365,  3511, 308,  34519, 28,   7018, 411,
                                           407,   19712, 8182, 2,    198,   1,    4093, 198,
                                           28120, 2,     198,  1,    520,   9531, 198};
    const std::vector<TokenId> white_space = {
        1,   9690, 11181, 198, 43916, 3717, 216,   2,   198,  1,   4093,  1116, 3805, 15876, 216,
        197, 198,  2,     198, 1,     520,  9531,  198, 3351, 250, 12109, 218,  2231, 321,   221,
        216, 2,    198,   1,   4093,  3805, 23799, 2,   198,  1,   520,   9531, 198};
    const PromptEncoder encoder(*model->tokenizer);
    const auto hello = model->chat_template->render({turn(Role::user, "hello")}, {}, true, 0);
    REQUIRE(hello);
    CHECK(encoder.encode(*hello) == one_turn);
    const auto padded = model->chat_template->render(
        {turn(Role::system, "  \n padded \n "), turn(Role::user, "\n\n  hi \t\n"),
         turn(Role::assistant, " \u00a0\u3000ok\u2003 "), turn(Role::user, " \r\n ")},
        {}, true, 0);
    REQUIRE(padded);
    CHECK(encoder.encode(*padded) == white_space);
}

TEST_CASE("a prompt without spelled control tokens is encoded as its whole text",
          "[prompt_encoder][model]") {
    const auto model = starter();
    if (!model) return;
    const PromptEncoder encoder(*model->tokenizer);
    for (const char* text : {"", " ", "\n", "x\n\n\n y", "12345 3.14", "a<b>c</b> <|not|> << >>",
                             "Grüße 你好 🎉", "<think>", "\xFF\xFE"}) {
        const auto prompt = model->chat_template->render(
            {turn(Role::user, text), turn(Role::assistant, text), turn(Role::user, text)}, {}, true,
            0);
        INFO(text);
        REQUIRE(prompt);
        CHECK(encoder.encode(*prompt) == model->tokenizer->encode(prompt->bytes(), true, false));
    }
}

TEST_CASE("no message can spell a control token of the starter model", "[prompt_encoder][model]") {
    const auto model = starter();
    if (!model) return;
    const PromptEncoder encoder(*model->tokenizer);
    const auto harmless = model->chat_template->render({turn(Role::user, "x")}, {}, true, 0);
    REQUIRE(harmless);
    const auto controls = [&](const jinja::Text& prompt) {
        int count = 0;
        for (const TokenId token : encoder.encode(prompt)) {
            count += model->tokenizer->is_special(token) ? 1 : 0;
        }
        return count;
    };
    const int expected = controls(*harmless);
    for (TokenId token = 0; token < model->tokenizer->vocab_size(); ++token) {
        if (!model->tokenizer->is_special(token)) continue;
        const std::string spelled(model->tokenizer->bytes_of(token, true));
        const auto prompt = model->chat_template->render(
            {turn(Role::user, spelled + "\n" + spelled + spelled)}, {}, true, 0);
        INFO(spelled);
        REQUIRE(prompt);
        CHECK(controls(*prompt) == expected);
        CHECK(model->tokenizer->decode(encoder.encode(*prompt), true) == prompt->bytes());
    }
}
