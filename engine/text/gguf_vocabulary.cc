// The tokenizer's part of a GGUF file's metadata (tokenizer.ggml.*), with llama.cpp's readings of
// it applied.
#include "engine/model/gguf.h"
#include "engine/text/vocabulary.h"

#include <optional>
#include <span>
#include <string>
#include <unordered_map>

namespace sluice {
namespace {

// Roles that a file gives by id or, failing that, by a well-known text. Those of code infilling
// are control tokens too, and the last three end a generation.
struct Role {
    std::string_view key;
    std::vector<std::string_view> texts;
    bool ends;
};

const std::vector<Role>& roles() {
    static const std::vector<Role> all = {
        {"tokenizer.ggml.fim_pre_token_id",
         {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
          "<|code_prefix|>", "<|prefix|>"},
         false},
        {"tokenizer.ggml.fim_suf_token_id",
         {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
          "<|code_suffix|>", "<|suffix|>"},
         false},
        {"tokenizer.ggml.fim_mid_token_id",
         {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
          "<|code_middle|>", "<|middle|>"},
         false},
        {"tokenizer.ggml.fim_pad_token_id",
         {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"},
         true},
        {"tokenizer.ggml.fim_rep_token_id",
         {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
         true},
        {"tokenizer.ggml.fim_sep_token_id", {"<|file_sep|>"}, true},
        {"tokenizer.ggml.eos_token_id", {}, true},
        {"tokenizer.ggml.eot_token_id", {}, true},
        {"tokenizer.ggml.eom_token_id", {}, true},
    };
    return all;
}

class Reader {
public:
    explicit Reader(const GgufFile& file) : file_(file) {}

    Result<Vocabulary> read() {
        for (auto step : {&Reader::read_kind, &Reader::read_tokens, &Reader::read_types,
                          &Reader::read_merges, &Reader::read_ids}) {
            Status status = (this->*step)();
            if (!status) return status.error();
        }
        mark_roles();
        return std::move(out_);
    }

private:
    Error fault(const std::string& what) const {
        return Error(Errc::bad_file, file_.path() + ": " + what);
    }

    Status read_kind() {
        auto model = file_.text("tokenizer.ggml.model");
        if (model != "gpt2")
            return fault("tokenizer.ggml.model is " + shown(model) +
                         "; supported is 'gpt2' (byte-level BPE)");
        auto name = file_.text("tokenizer.ggml.pre");
        auto pre = pre_tokenizer_named(name.value_or(""));
        if (!pre)
            return fault("tokenizer.ggml.pre is " + shown(name) + "; supported are " +
                         std::string(pre_tokenizer_names()));
        out_.pre = *pre;
        out_.ignore_merges = *pre == PreTokenizer::llama3;
        out_.add_bos = flag("tokenizer.ggml.add_bos_token", *pre == PreTokenizer::llama3);
        out_.add_eos = flag("tokenizer.ggml.add_eos_token", false);
        return Done{};
    }

    Status read_tokens() {
        auto texts = file_.texts("tokenizer.ggml.tokens");
        if (!texts || texts->empty() || texts->size() > Vocabulary::tokens_max)
            return fault("tokenizer.ggml.tokens must be an array of 1 to " +
                         std::to_string(Vocabulary::tokens_max) + " strings");
        std::size_t bytes = 0;
        for (std::string_view text : *texts) bytes += text.size();
        if (bytes > Vocabulary::text_bytes_max)
            return fault("tokenizer.ggml.tokens is larger than 1 GiB");
        out_.texts = std::move(*texts);
        return Done{};
    }

    Status read_types() {
        out_.types.assign(out_.texts.size(), TokenType::normal);
        auto types = file_.integers("tokenizer.ggml.token_type");
        if (!types) return Done{};
        if (types->size() != out_.texts.size())
            return fault("tokenizer.ggml.token_type has " + std::to_string(types->size()) +
                         " entries; expected one for each of the " +
                         std::to_string(out_.texts.size()) + " tokens");
        for (std::size_t i = 0; i < types->size(); ++i) {
            std::int64_t type = (*types)[i];
            // 0 is "undefined": neither matched nor shown, like an unused token.
            out_.types[i] =
                type >= 1 && type <= 6 ? static_cast<TokenType>(type) : TokenType::unused;
        }
        return Done{};
    }

    Status read_merges() {
        auto merges = file_.texts("tokenizer.ggml.merges");
        if (!merges) return fault("tokenizer.ggml.merges must be an array of strings");
        out_.merges = std::move(*merges);
        return Done{};
    }

    Status read_ids() {
        for (auto [key, id] : {std::pair{"tokenizer.ggml.bos_token_id", &out_.bos},
                               std::pair{"tokenizer.ggml.eos_token_id", &out_.eos}}) {
            Status status = read_id(key, *id);
            if (!status) return status;
        }
        for (const Role& role : roles()) {
            TokenId id = -1;
            Status status = read_id(role.key, id);
            if (!status) return status;
            if (id >= 0 && role.ends) out_.ends.insert(id);
        }
        return Done{};
    }

    Status read_id(std::string_view key, TokenId& id) const {
        auto value = file_.integer(key);
        if (!value) return Done{};
        if (*value < 0 || *value >= static_cast<std::int64_t>(out_.texts.size()))
            return fault(std::string(key) + " is " + std::to_string(*value) +
                         "; expected the id of one of the " + std::to_string(out_.texts.size()) +
                         " tokens");
        id = static_cast<TokenId>(*value);
        return Done{};
    }

    // A token with one of the well-known texts is a control token even where the file forgot to
    // say so. "</s>" alone may be ordinary text: Qwen's vocabulary has it for HTML, and there,
    // unlike in llama.cpp, it neither is special nor ends an answer.
    void mark_roles() {
        std::unordered_map<std::string_view, const Role*> by_text;
        for (const Role& role : roles())
            if (!file_.integer(role.key))
                for (std::string_view text : role.texts) by_text.emplace(text, &role);
        for (std::size_t i = 0; i < out_.texts.size(); ++i) {
            std::string_view text = out_.texts[i];
            auto found = by_text.find(text);
            bool has_role = found != by_text.end();
            bool ends = ends_generation(text);
            if (text == "</s>" && out_.types[i] == TokenType::normal) continue;
            if (has_role || ends) out_.types[i] = TokenType::control;
            if (ends || (has_role && found->second->ends))
                out_.ends.insert(static_cast<TokenId>(i));
        }
    }

    bool flag(std::string_view key, bool absent) const {
        return file_.integer(key).value_or(absent ? 1 : 0) != 0;
    }
    static std::string shown(std::optional<std::string_view> value) {
        if (!value) return "absent";
        return "'" + std::string(value->substr(0, 80)) + "'";
    }

    const GgufFile& file_;
    Vocabulary out_;
};

}  // namespace

Result<Vocabulary> GgufFile::read_vocabulary() const { return Reader(*this).read(); }

}  // namespace sluice
