// sluice tokenize: text on stdin to token ids on stdout, or ids to text.
#include <cctype>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "engine/log.h"
#include "engine/model/model_file.h"
#include "engine/text/tokenizer.h"
#include "gateway/commands.h"

namespace sluice {
namespace {

constexpr std::size_t input_bytes_max = std::size_t{256} << 20;

struct TokenizeOptions {
    std::string model;
    bool json = false;
    bool detokenize = false;
};

Result<std::string> read_input() {
    std::string input;
    char block[65536];
    while (std::size_t count = std::fread(block, 1, sizeof block, stdin)) {
        if (input.size() + count > input_bytes_max)
            return Error(Errc::request_too_large, "stdin has more than 256 MiB");
        input.append(block, count);
    }
    if (std::ferror(stdin) != 0) return Error(Errc::invalid_request, "cannot read stdin");
    return input;
}

// Both forms that print_ids() writes, and a bare JSON array.
Result<std::vector<TokenId>> read_ids(std::string_view text, const Tokenizer& tokenizer) {
    std::vector<TokenId> ids;
    std::size_t list = text.find('[');
    if (list != std::string_view::npos) text = text.substr(0, text.find(']', list));
    for (std::size_t at = list == std::string_view::npos ? 0 : list + 1; at < text.size();) {
        auto byte = static_cast<unsigned char>(text[at]);
        if (std::isspace(byte) != 0 || byte == ',') {
            ++at;
            continue;
        }
        TokenId id = -1;
        auto read = std::from_chars(text.data() + at, text.data() + text.size(), id);
        std::size_t end = static_cast<std::size_t>(read.ptr - text.data());
        if (read.ec != std::errc() || id < 0 || id >= tokenizer.vocab_size())
            return Error(Errc::invalid_request, "byte " + std::to_string(at) +
                                                    " of stdin: expected a token id from 0 to " +
                                                    std::to_string(tokenizer.vocab_size() - 1));
        ids.push_back(id);
        at = end;
    }
    return ids;
}

void print_ids(const std::vector<TokenId>& ids, bool json) {
    std::string out = json ? "{\"tokens\":[" : "";
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (i > 0) out += json ? ',' : ' ';
        out += std::to_string(ids[i]);
    }
    out += json ? "],\"count\":" + std::to_string(ids.size()) + "}\n" : "\n";
    std::fwrite(out.data(), 1, out.size(), stdout);
}

void print_text(const std::vector<TokenId>& ids, const Tokenizer& tokenizer, bool json) {
    // What encoding puts around a text is no part of the text.
    std::vector<TokenId> around = tokenizer.encode("", false, true);
    std::vector<TokenId> inner = ids;
    if (!around.empty() && !inner.empty() && around.front() == tokenizer.bos() &&
        inner.front() == tokenizer.bos())
        inner.erase(inner.begin());
    std::string text = tokenizer.decode(inner, true);
    if (json) {
        std::string line = "{\"text\":";
        append_json_string(line, text);
        text = line + "}\n";
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
}

Status tokenize(const TokenizeOptions& options) {
    auto file = ModelFile::open(options.model);
    if (!file) return file.error();
    auto tokenizer = Tokenizer::from_file(**file);
    if (!tokenizer) return tokenizer.error();
    auto input = read_input();
    if (!input) return input.error();
    if (!options.detokenize) {
        print_ids((*tokenizer)->encode(*input, true, true), options.json);
        return Done{};
    }
    auto ids = read_ids(*input, **tokenizer);
    if (!ids) return ids.error();
    print_text(*ids, **tokenizer, options.json);
    return Done{};
}

}  // namespace

void add_tokenize(Command& app, int& status) {
    auto options = std::make_shared<TokenizeOptions>();
    Command command = app.add_subcommand(
        "tokenize",
        "Text on stdin to token ids on stdout, as the model's own tokenizer gives them: special "
        "tokens spelled out in the text are recognized, and BOS is added where the model asks.");
    command.add_option("--model", options->model, "A GGUF file or a model folder")
        .required()
        .type_name("FILE");
    command.add_flag("--json", options->json,
                     "One JSON object: {\"tokens\",\"count\"} or {\"text\"}");
    command.add_flag("--detokenize", options->detokenize, "Ids on stdin to text on stdout");
    command.footer(
        "Example:\n  echo -n 'Hello, world!' | sluice tokenize --model "
        "models/smollm2-135m-instruct-q4_1.gguf\n  echo 19556 28 905 17 | sluice tokenize --model "
        "models/smollm2-135m-instruct-q4_1.gguf --detokenize");
    command.callback([options, &status] {
        Status done = tokenize(*options);
        if (!done) std::cerr << "sluice tokenize: " << done.error().message << '\n';
        status = done ? 0 : 1;
    });
}

}  // namespace sluice
