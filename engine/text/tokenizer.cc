// Byte-level BPE: special tokens are found in the raw text, the rest is cut into words, and each
// word is merged from its bytes.
#include "engine/text/tokenizer.h"

#include <algorithm>
#include <array>
#include <span>
#include <unordered_map>

#include "engine/model/model_file.h"
#include "engine/text/bpe.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/composition.h"
#include "engine/text/special_tokens.h"
#include "engine/text/token_table.h"
#include "engine/text/vocabulary.h"

namespace sluice {
namespace {

// A longer run without a word boundary is cut here, which bounds the merger's work space.
constexpr std::size_t word_bytes_max = std::size_t{1} << 26;

bool is_hidden(TokenType type) { return type == TokenType::control || type == TokenType::unknown; }

class BpeTokenizer final : public Tokenizer {
public:
    explicit BpeTokenizer(const Vocabulary& vocabulary)
        : pre_(vocabulary.pre),
          ignore_merges_(vocabulary.ignore_merges),
          nfc_(vocabulary.nfc),
          add_bos_(vocabulary.add_bos),
          add_eos_(vocabulary.add_eos),
          bos_(vocabulary.bos),
          eos_(vocabulary.eos),
          types_(vocabulary.types),
          ends_(vocabulary.ends),
          table_(vocabulary.texts.size()) {}

    // The message of what is wrong with the vocabulary, or "".
    std::string build(const Vocabulary& vocabulary) {
        std::string fault = add_tokens(vocabulary.texts);
        if (fault.empty()) fault = add_merges(vocabulary.merges);
        if (!ignore_merges_) table_ = TokenTable();  // encoding does not need it any more
        return fault;
    }

    std::vector<TokenId> encode(std::string_view text, bool parse_special,
                                bool add_special) const override {
        std::vector<TokenId> out;
        out.reserve(text.size() / 3 + 8);
        if (add_special && add_bos_ && bos_ >= 0) out.push_back(bos_);
        Bpe::Scratch scratch;
        const SpecialTokens& specials = parse_special ? specials_ : user_defined_;
        for (const SpecialTokens::Piece& piece : specials.split(text)) {
            if (piece.token >= 0) {
                out.push_back(piece.token);
            } else {
                encode_plain(text.substr(piece.begin, piece.end - piece.begin), scratch, out);
            }
        }
        if (add_special && add_eos_ && eos_ >= 0) out.push_back(eos_);
        return out;
    }

    std::string_view bytes_of(TokenId token, bool render_special) const override {
        if (!is_known(token) || (!render_special && is_special(token))) return {};
        return stored(static_cast<std::size_t>(token));
    }

    int vocab_size() const override { return static_cast<int>(types_.size()); }
    bool is_special(TokenId token) const override {
        return is_known(token) && is_hidden(types_[static_cast<std::size_t>(token)]);
    }
    bool is_end(TokenId token) const override { return ends_.contains(token); }
    TokenId find(std::string_view token_text) const override {
        if (auto found = by_text_.find(std::string(token_text)); found != by_text_.end())
            return found->second;
        std::string bytes;
        bool is_spelled = append_spelled_bytes(bytes, token_text);
        for (std::size_t i = 0; is_spelled && !token_text.empty() && i < types_.size(); ++i)
            if (stored(i) == (is_as_written(types_[i]) ? token_text : std::string_view(bytes)))
                return static_cast<TokenId>(i);
        return -1;
    }
    TokenId bos() const override { return bos_; }
    TokenId eos() const override { return eos_; }

private:
    bool is_known(TokenId token) const {
        return token >= 0 && static_cast<std::size_t>(token) < types_.size();
    }

    // Special tokens stand in the text as they are written; the others are spelled.
    static bool is_as_written(TokenType type) {
        return is_hidden(type) || type == TokenType::user_defined;
    }

    std::string_view stored(std::size_t token) const {
        std::size_t begin = begins_[token];
        return std::string_view(bytes_).substr(begin, begins_[token + 1] - begin);
    }

    void encode_plain(std::string_view text, Bpe::Scratch& scratch,
                      std::vector<TokenId>& out) const {
        std::string in_form_c;
        if (nfc_ && !is_surely_composed(text)) text = in_form_c = composed(text);
        for (std::size_t at = 0; at < text.size();) {
            std::size_t end = std::min(word_end(pre_, text, at), at + word_bytes_max);
            std::string_view word = text.substr(at, end - at);
            at = end;
            TokenId whole = ignore_merges_ ? table_.find(word) : -1;
            if (whole >= 0) {
                out.push_back(whole);
            } else {
                bpe_.encode(word, scratch, out);
            }
        }
    }

    std::string add_tokens(const std::vector<std::string_view>& texts) {
        std::vector<SpecialTokens::Special> specials;
        std::vector<SpecialTokens::Special> user_defined;
        std::string spelled;
        std::size_t bytes = 0;
        for (std::string_view text : texts) bytes += text.size();
        bytes_.reserve(bytes);
        begins_.resize(texts.size() + 1);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            begins_[i] = begins_[i + 1] = static_cast<std::uint32_t>(bytes_.size());
            if (texts[i].empty()) continue;
            auto token = static_cast<TokenId>(i);
            spelled.clear();
            bool is_spelled = append_spelled_bytes(spelled, texts[i]);
            TokenType type = types_[i];
            bool as_written = is_as_written(type);
            bool kept = as_written || type == TokenType::normal;
            bool added = !is_spelled || table_.add(spelled, token);
            if (!is_spelled || !kept) added = by_text_.emplace(texts[i], token).second && added;
            if (!added)
                return "the vocabulary has the text of token " + std::to_string(token) + " twice";
            if (kept) bytes_ += as_written || !is_spelled ? texts[i] : std::string_view(spelled);
            begins_[i + 1] = static_cast<std::uint32_t>(bytes_.size());
            if (as_written) specials.push_back({std::string(texts[i]), token});
            if (type == TokenType::user_defined)
                user_defined.push_back({std::string(texts[i]), token});
        }
        specials_ = SpecialTokens(std::move(specials));
        user_defined_ = SpecialTokens(std::move(user_defined));
        return "";
    }

    std::string add_merges(const std::vector<std::string_view>& merges) {
        std::array<TokenId, 256> byte_tokens;
        for (int byte = 0; byte < 256; ++byte) {
            char key = static_cast<char>(byte);
            byte_tokens[static_cast<std::size_t>(byte)] = table_.find({&key, 1});
        }
        bpe_ = Bpe(byte_tokens, merges.size());
        constexpr std::size_t batch = 256;
        for (std::size_t at = 0; at < merges.size(); at += batch) {
            std::size_t count = std::min(batch, merges.size() - at);
            std::size_t added = add_batch(std::span(merges).subspan(at, count));
            if (added < count)
                return "merge " + std::to_string(at + added) + " is '" +
                       std::string(merges[at + added].substr(0, 80)) +
                       "'; expected two tokens, a space between them, that make a third";
        }
        return "";
    }

    // How many were added: all of them, or those before the first that is wrong.
    std::size_t add_batch(std::span<const std::string_view> merges) {
        // The bytes of all merges in one buffer, and where each one's halves end in it.
        std::string bytes;
        std::vector<std::size_t> ends;
        for (std::string_view merge : merges) {
            std::size_t space = merge.find(' ', 1);
            if (space == std::string_view::npos) break;
            if (!append_spelled_bytes(bytes, merge.substr(0, space))) break;
            std::size_t left_end = bytes.size();
            if (!append_spelled_bytes(bytes, merge.substr(space + 1))) break;
            ends.insert(ends.end(), {left_end, bytes.size()});
        }
        std::vector<std::string_view> keys;
        std::size_t begin = 0;
        for (std::size_t i = 0; i < ends.size(); i += 2) {
            std::string_view whole = std::string_view(bytes).substr(begin, ends[i + 1] - begin);
            std::size_t left = ends[i] - begin;
            keys.insert(keys.end(), {whole.substr(0, left), whole.substr(left), whole});
            begin = ends[i + 1];
        }
        std::vector<TokenId> found(keys.size());
        table_.find_each(keys, found);
        std::vector<Bpe::Merge> known;
        for (std::size_t i = 0; i < found.size(); i += 3) {
            if (found[i] < 0 || found[i + 1] < 0 || found[i + 2] < 0) break;
            known.push_back({found[i], found[i + 1], found[i + 2]});
        }
        bpe_.add(known);
        return known.size();
    }

    PreTokenizer pre_;
    bool ignore_merges_;
    bool nfc_;
    bool add_bos_;
    bool add_eos_;
    TokenId bos_;
    TokenId eos_;
    std::vector<TokenType> types_;
    std::unordered_set<TokenId> ends_;
    TokenTable table_;  // by bytes: what BPE can arrive at; kept where words are looked up whole
    // By text: those outside the byte alphabet, and those that stand for no text.
    std::unordered_map<std::string, TokenId> by_text_;
    std::string bytes_;                  // of all tokens
    std::vector<std::uint32_t> begins_;  // of each one's bytes, and the end of the last one's
    SpecialTokens specials_;
    SpecialTokens user_defined_;  // found in plain text too
    Bpe bpe_{{}, 0};
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_file(const ModelFile& file) {
    return from_vocabulary(file.read_vocabulary(), file.path());
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_vocabulary(
    const Result<Vocabulary>& vocabulary, const std::string& path) {
    if (!vocabulary) return vocabulary.error();
    auto tokenizer = std::make_shared<BpeTokenizer>(*vocabulary);
    std::string fault = tokenizer->build(*vocabulary);
    if (!fault.empty()) return Error(Errc::bad_file, path + ": " + fault);
    return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

std::string Tokenizer::decode(const std::vector<TokenId>& tokens, bool render_special) const {
    std::string out;
    for (TokenId token : tokens) out += bytes_of(token, render_special);
    return out;
}

}  // namespace sluice
