#include "engine/text/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/model/json_file.h"
#include "engine/model/mapped_file.h"
#include "engine/text/byte_alphabet.h"

namespace sluice {
namespace {

constexpr std::size_t tokenizer_bytes_max = std::size_t{1} << 30;
constexpr std::size_t config_bytes_max = 16U << 20;
constexpr std::size_t unused_max = 1U << 16;  // ids without a token

// With the number of digits that a word may have in place of the @.
constexpr std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}@| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string pattern(std::string_view digits) {
    std::string out(qwen2_pattern);
    return out.replace(out.find('@'), 1, digits);
}

class Reader {
public:
    explicit Reader(JsonFields root) : root_(std::move(root)) {}

    // What it finds wrong is kept in the file's fields.
    Vocabulary read() {
        read_normalizer();
        read_pre_tokenizer();
        check_decoder();
        auto model = root_.object("model");
        if (!model) root_.keep("model", "is missing, expected an object");
        if (root_.ok()) read_model(*model);
        if (root_.ok()) read_added();
        if (root_.ok()) read_post_processor();
        if (root_.ok()) lay_out();
        return std::move(out_);
    }
    TokenId find(std::string_view text) const {
        auto found = by_text_.find(text);
        return found == by_text_.end() ? -1 : found->second;
    }

private:
    static std::string refused(std::string_view found, const char* supported) {
        return "is '" + std::string(found.substr(0, 200)) + "', supported: " + supported;
    }

    // An object's type and, of one that holds a list of others, those.
    std::vector<JsonFields> parts(const char* key, const char* list) {
        std::vector<JsonFields> out;
        auto whole = root_.object(key);
        if (!whole) return out;
        if (whole->text("type") != "Sequence") return {*whole};
        for (JsonElement one : whole->array(list).value_or(std::vector<JsonElement>()))
            if (one.is_object()) out.push_back(whole->within(list, one));
        return out;
    }

    void read_normalizer() {
        for (JsonFields& one : parts("normalizer", "normalizers")) {
            const std::string_view type = one.text("type").value_or("");
            if (type != "NFC") return one.keep("type", refused(type, "NFC"));
            out_.nfc = true;
        }
    }

    void read_pre_tokenizer() {
        constexpr const char* key = "pre_tokenizer";
        std::vector<JsonFields> steps = parts(key, "pretokenizers");
        if (steps.empty() || steps.size() > 2 || steps.back().text("type") != "ByteLevel")
            return root_.keep(key,
                              "is not supported; supported are ByteLevel alone, after Digits, "
                              "and after a Split by the expressions of Qwen2 and Llama 3");
        JsonFields& bytes = steps.back();
        if (bytes.boolean("add_prefix_space").value_or(true))
            bytes.keep("add_prefix_space", "is not false, which is not supported");
        const bool words = bytes.boolean("use_regex").value_or(true);
        const std::string_view first = steps.size() == 1 ? "" : steps[0].text("type").value_or("");
        if (first != "Split" && !words)
            return bytes.keep("use_regex", "is false, which is not supported without a Split");
        if (first.empty()) {
            out_.pre = PreTokenizer::gpt2;
        } else if (first == "Digits") {
            if (!steps[0].boolean("individual_digits").value_or(false))
                steps[0].keep("individual_digits", "is not true, which is not supported");
            out_.pre = PreTokenizer::smollm;
        } else if (first == "Split") {
            if (words)
                bytes.keep("use_regex", "is not false, which is not supported after a Split");
            read_split(steps[0]);
        } else {
            steps[0].keep("type", refused(first, "Digits and Split"));
        }
    }

    void read_split(JsonFields& split) {
        const std::string_view behaviour = split.text("behavior").value_or("");
        if (behaviour != "Isolated") split.keep("behavior", refused(behaviour, "Isolated"));
        if (split.boolean("invert").value_or(false))
            split.keep("invert", "is true, which is not supported");
        auto by = split.object("pattern");
        const std::string_view regex = by ? by->text("Regex").value_or("") : "";
        if (regex == pattern("")) {
            out_.pre = PreTokenizer::qwen2;
        } else if (regex == pattern("{1,3}")) {
            out_.pre = PreTokenizer::llama3;
        } else {
            split.keep("pattern", refused(regex, "the expressions of Qwen2 and Llama 3"));
        }
    }

    void check_decoder() {
        for (JsonFields& one : parts("decoder", "decoders")) {
            const std::string_view type = one.text("type").value_or("");
            if (type != "ByteLevel") one.keep("type", refused(type, "ByteLevel"));
        }
    }

    void read_model(JsonFields& model) {
        const std::string_view type = model.text("type").value_or("BPE");
        if (type != "BPE") return model.keep("type", refused(type, "BPE"));
        if (model.number("dropout").value_or(0.0) != 0.0)
            model.keep("dropout", "is set, which is not supported");
        for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
            if (!model.text(key).value_or("").empty())
                model.keep(key, "is set, which is not supported");
        if (model.boolean("byte_fallback").value_or(false))
            model.keep("byte_fallback", "is true, which is not supported");
        out_.ignore_merges = model.boolean("ignore_merges").value_or(false);
        auto vocabulary = model.object("vocab");
        if (!vocabulary) return model.keep("vocab", "is missing, expected an object");
        const std::size_t tokens =
            vocabulary->all().size() +
            root_.array("added_tokens").value_or(std::vector<JsonElement>()).size();
        ids_end_ = static_cast<std::int64_t>(std::min(tokens + unused_max, Vocabulary::tokens_max));
        for (auto [text, id] : vocabulary->all()) {
            std::int64_t number = -1;
            if (id.get(number) != simdjson::SUCCESS) number = -1;
            if (!place(text, number, TokenType::normal))
                return model.keep("vocab", place_fault(text, number));
        }
        if (model.text("unk_token") && !has_all_bytes())
            model.keep("unk_token", "is set, and not every byte is a token: not supported");
        read_merges(model);
    }

    bool has_all_bytes() const {
        for (int byte = 0; byte < 256; ++byte)
            if (find(spelling_of(static_cast<unsigned char>(byte))) < 0) return false;
        return true;
    }

    // Both of the format's ways: "left right", and ["left", "right"].
    void read_merges(JsonFields& model) {
        auto merges = model.array("merges");
        if (!merges) return model.keep("merges", "is missing, expected an array");
        if (merges->size() > Vocabulary::tokens_max) return model.keep("merges", "is too long");
        for (JsonElement merge : *merges) {
            std::string_view whole;
            if (merge.get(whole) == simdjson::SUCCESS) {
                merges_.push_back(keep_text({whole}));
                continue;
            }
            std::string_view left, right;
            if (!merge.is_array() || merge.get_array().value_unsafe().size() != 2 ||
                merge.at(0).get(left) != simdjson::SUCCESS ||
                merge.at(1).get(right) != simdjson::SUCCESS)
                return model.keep("merges", "entry " + std::to_string(merges_.size()) +
                                                " is neither a string nor two strings");
            merges_.push_back(keep_text({left, " ", right}));
        }
    }

    void read_added() {
        for (JsonElement one : root_.array("added_tokens").value_or(std::vector<JsonElement>())) {
            if (!one.is_object()) return root_.keep("added_tokens", "holds what is no object");
            JsonFields token = root_.within("added_tokens", one);
            const std::string_view text = token.text("content").value_or("");
            const std::int64_t id = token.integer("id").value_or(-1);
            for (const char* key : {"single_word", "lstrip", "rstrip"})
                if (token.boolean(key).value_or(false))
                    token.keep(key, "is true for '" + std::string(text) + "': not supported");
            const bool special = token.boolean("special").value_or(false);
            if (text.empty() ||
                !place(text, id, special ? TokenType::control : TokenType::user_defined))
                return token.keep("content", place_fault(text, id));
        }
    }

    // What a whole prompt gets put in front and behind.
    void read_post_processor() {
        for (JsonFields& one : parts("post_processor", "processors")) {
            const std::string_view type = one.text("type").value_or("");
            if (type == "ByteLevel") continue;
            if (type != "TemplateProcessing")
                return one.keep("type", refused(type, "ByteLevel and TemplateProcessing"));
            bool text_seen = false;
            for (JsonElement part : one.array("single").value_or(std::vector<JsonElement>())) {
                std::string_view id;
                if (part.at_key("SpecialToken").at_key("id").get(id) != simdjson::SUCCESS) {
                    text_seen = true;
                    continue;
                }
                bool& add = text_seen ? out_.add_eos : out_.add_bos;
                if (add || find(id) < 0)
                    return one.keep("single", "asks for '" + std::string(id) +
                                                  "', expected one known token in front, and one "
                                                  "behind");
                add = true;
                (text_seen ? out_.eos : out_.bos) = find(id);
            }
        }
    }

    // False when the id is out of range or taken by another text, or the text by another id.
    bool place(std::string_view text, std::int64_t id, TokenType type) {
        if (id < 0 || id >= ids_end_) return false;
        const auto at = static_cast<std::size_t>(id);
        auto [known, is_new] = by_text_.emplace(text, static_cast<TokenId>(id));
        if (known->second != id) return false;
        if (at >= types_.size()) {
            types_.resize(at + 1, TokenType::unused);
            texts_.resize(at + 1);
        }
        if (is_new && types_[at] != TokenType::unused) return false;
        types_[at] = type;
        if (is_new) texts_[at] = keep_text({text});
        return true;
    }

    std::string place_fault(std::string_view text, std::int64_t id) const {
        return "gives '" + std::string(text.substr(0, 80)) + "' the id " + std::to_string(id) +
               ", expected one of its own below " + std::to_string(ids_end_);
    }

    struct Place {
        std::size_t begin = 0;
        std::size_t bytes = 0;
    };
    Place keep_text(std::initializer_list<std::string_view> pieces) {
        const std::size_t begin = storage_.size();
        for (std::string_view piece : pieces) storage_ += piece;
        return {begin, storage_.size() - begin};
    }

    void lay_out() {
        if (texts_.empty()) return root_.keep("model.vocab", "is empty");
        if (storage_.size() > Vocabulary::text_bytes_max)
            return root_.keep("model.vocab", "is larger than 1 GiB");
        out_.storage = std::make_shared<const std::string>(std::move(storage_));
        const std::string_view all = *out_.storage;
        for (Place place : texts_) out_.texts.push_back(all.substr(place.begin, place.bytes));
        for (Place place : merges_) out_.merges.push_back(all.substr(place.begin, place.bytes));
        for (std::size_t id = 0; id < types_.size(); ++id)
            if (types_[id] == TokenType::control && ends_generation(out_.texts[id]))
                out_.ends.insert(static_cast<TokenId>(id));
        out_.types = std::move(types_);
    }

    JsonFields root_;
    Vocabulary out_;
    std::int64_t ids_end_ = 0;
    std::unordered_map<std::string_view, TokenId> by_text_;  // into the JSON
    std::string storage_;
    std::vector<Place> texts_;  // by id
    std::vector<TokenType> types_;
    std::vector<Place> merges_;
};

// A token named by its text, or by an object that has it.
std::optional<std::string_view> token_text_of(JsonFields& config, std::string_view key) {
    JsonElement found;
    if (config.all().at_key(key).get(found) != simdjson::SUCCESS || found.is_null())
        return std::nullopt;
    if (!found.is_object()) return config.text(key);
    return config.within(key, found).text("content");
}

Status read_roles(const std::string& folder, const Reader& reader, Vocabulary& out) {
    const std::string path = folder + "/tokenizer_config.json";
    if (!file_exists(path)) return Done{};
    auto file = JsonFile::read(path, config_bytes_max);
    if (!file) return file.error();
    JsonFields& config = file->fields();
    for (auto [key, id] : {std::pair{"bos_token", &out.bos}, std::pair{"eos_token", &out.eos}}) {
        auto text = token_text_of(config, key);
        if (!text || *id >= 0) continue;  // what tokenizer.json puts around a text goes first
        *id = reader.find(*text);
        if (*id < 0) config.keep(key, "is '" + std::string(*text) + "', which is no known token");
    }
    if (config.boolean("add_bos_token").value_or(false) && out.bos >= 0) out.add_bos = true;
    return file->status();
}

}  // namespace

Result<Vocabulary> read_tokenizer_json(const std::string& folder,
                                       const std::vector<std::int64_t>& end_tokens) {
    const std::string path = folder + "/tokenizer.json";
    auto file = JsonFile::read(path, tokenizer_bytes_max);
    if (!file) return file.error();
    Reader reader(file->fields());
    Vocabulary out = reader.read();
    Status fine = file->status();
    if (fine) fine = read_roles(folder, reader, out);
    if (!fine) return fine.error();
    for (std::int64_t id : end_tokens) {
        if (id < 0 || id >= static_cast<std::int64_t>(out.texts.size()))
            return Error(Errc::bad_file, path + ": has no token " + std::to_string(id) +
                                             ", which eos_token_id names");
        out.ends.insert(static_cast<TokenId>(id));
    }
    if (out.eos >= 0) out.ends.insert(out.eos);
    if (out.eos < 0 && !end_tokens.empty()) out.eos = static_cast<TokenId>(end_tokens.front());
    return out;
}

}  // namespace sluice
