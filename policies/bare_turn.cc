#include "policies/bare_turn.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "policies/word_groups.h"

namespace sluice {
namespace {

constexpr std::size_t bytes_max = 96;
constexpr std::size_t words_max = 12;     // all of them known
constexpr std::size_t words_own_max = 3;  // that are not known

// Words of agreeing and going on, as normalised below: lower case, no apostrophes.
constexpr std::string_view going_on[] = {
    // English
    "yes yeah yep yup ya ok okay k kk sure fine right correct exactly agreed alright great good "
    "perfect nice cool awesome excellent absolutely definitely indeed of course no nope go on "
    "ahead continue proceed next more please pls thanks thank you thx ty do it that this so lets "
    "keep going carry then now and the a as is be it me sounds looks all well done got understood "
    "i see again agree confirm confirmed approved lgtm hi hello hey cheers rest finish to works "
    "for my your quick quickly lot much very really just can will was were been would helpful we "
    "us "
    "from "
    "here there still too also appreciate appreciated like happy with both whatever want way job",
    // German
    "ja jawohl jo doch genau gut okay klar sicher gerne gern bitte danke weiter mach machen fahr "
    "fort fortfahren weitermachen nein passt stimmt richtig einverstanden natürlich los so das es "
    "und dann prima super perfekt alles schön sehr vielen dank",
    // French
    "oui ouais daccord accord dac bien très sûr continue continuez continuer vas allez y merci sil "
    "vous te plaît plait svp stp beaucoup non parfait exactement suite la encore volontiers fais "
    "le "
    "faites poursuis poursuivez",
    // Spanish, Portuguese, Italian
    "sí si claro vale bueno bien dale sigue siga continúa continua continúe adelante por favor "
    "gracias muchas hazlo correcto perfecto exacto más de acuerdo sim não tudo bem certo continue "
    "prossiga obrigado obrigada muito isso vai va bene certo avanti continua prosegui per favore "
    "grazie mille esatto perfetto faça fallo",
    // Dutch, Polish, Turkish
    "ja goed prima ga door verder graag alsjeblieft alstublieft dank je bedankt tak dobrze "
    "kontynuuj dalej proszę dziękuję evet tamam devam et lütfen teşekkürler hayır",
    // Russian, Ukrainian
    "да ага хорошо ладно конечно продолжай продолжайте дальше пожалуйста спасибо верно точно давай "
    "давайте нет ок окей так добре продовжуй далі дякую"};

// Of scripts that put no spaces between words; longer ones first where one begins another.
constexpr std::string_view spaceless[] = {"请继续",
                                          "繼續",
                                          "继续",
                                          "谢谢你",
                                          "谢谢",
                                          "謝謝",
                                          "好的",
                                          "好吧",
                                          "好",
                                          "是的",
                                          "是",
                                          "可以",
                                          "没问题",
                                          "对的",
                                          "对",
                                          "對",
                                          "行",
                                          "嗯",
                                          "请",
                                          "請",
                                          "吧",
                                          "同意",
                                          "确认",
                                          "はい",
                                          "ええ",
                                          "うん",
                                          "続けてください",
                                          "続けて",
                                          "続き",
                                          "お願いします",
                                          "お願い",
                                          "ありがとうございます",
                                          "ありがとう",
                                          "ください",
                                          "了解です",
                                          "了解",
                                          "です",
                                          "そうです",
                                          "どうぞ",
                                          "次",
                                          "を",
                                          "네",
                                          "예",
                                          "응",
                                          "계속해",
                                          "계속",
                                          "해주세요",
                                          "해 주세요",
                                          "주세요",
                                          "좋아요",
                                          "좋아",
                                          "감사합니다",
                                          "고마워요"};

// Words that ask something of their own.
constexpr std::string_view asking =
    "what why how who whom whose when where which whether was warum wie wer wann wo welche welcher "
    "welches wieso weshalb wozu quoi pourquoi comment qui quand où quel quelle quels combien qué "
    "que "
    "por qué cómo quién cuándo dónde cuál cuánto cosa perché come chi quando dove quale quanto "
    "qual "
    "porquê wat waarom hoe wie wanneer waar что почему как кто когда где какой какая сколько зачем "
    "чому коли co dlaczego jak kto kiedy gdzie ne neden nasıl kim";

// A set of words by their hashes, made at compile time; open addressing, at most half full.
template <std::size_t size>
class Words {
public:
    constexpr void add(std::string_view listed) {
        while (!listed.empty()) {
            std::size_t end = std::min(listed.find(' '), listed.size());
            if (end > 0) insert(word_hash(listed.substr(0, end)) | 1U);
            listed.remove_prefix(std::min(end + 1, listed.size()));
        }
    }
    constexpr bool has(std::string_view word) const {
        const std::uint32_t hash = word_hash(word) | 1U;
        for (std::size_t i = hash >> 1; slots_[i % size] != 0; ++i)
            if (slots_[i % size] == hash) return true;
        return false;
    }

private:
    constexpr void insert(std::uint32_t hash) {
        std::size_t i = hash >> 1;
        while (slots_[i % size] != 0 && slots_[i % size] != hash) ++i;
        slots_[i % size] = hash;
    }
    std::array<std::uint32_t, size> slots_{};
};

constexpr auto known = [] {
    Words<1024> words;
    for (std::string_view listed : going_on) words.add(listed);
    return words;
}();
constexpr auto questions = [] {
    Words<256> words;
    words.add(asking);
    return words;
}();

// The turn in lower case, without punctuation, one space between words.
class Plain {
public:
    // False where it has something of its own: a number, a question mark, code, or length.
    bool read(std::string_view text) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i];
            if (static_cast<unsigned char>(c) >= 0x80) {
                std::size_t length = wide(text.substr(i));
                if (length == 0) return false;
                i += length - 1;
                continue;
            }
            if ((c >= '0' && c <= '9') ||
                std::string_view("?=<>{}[]()/\\|`$#%^*+_@&~").find(c) != std::string_view::npos)
                return false;
            if (c == '\'') continue;  // d'accord, let's
            const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
            if (!(letter ? put(static_cast<char>(c | 0x20)) : gap())) return false;
        }
        return true;
    }
    bool gap() { return size_ == 0 || bytes_[size_ - 1] == ' ' || put(' '); }
    std::string_view words() const { return {bytes_.data(), size_}; }

private:
    bool put(char c) {
        if (size_ == bytes_.size()) return false;
        bytes_[size_++] = c;
        return true;
    }
    bool put(unsigned char first, unsigned char second) {
        return put(static_cast<char>(first)) && put(static_cast<char>(second));
    }

    // One character beyond ASCII; its length, 0 where it cannot be bare.
    std::size_t wide(std::string_view text) {
        auto at = [&](std::size_t i) {
            return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
        };
        const unsigned a = at(0), b = at(1), c = at(2);
        if (a == 0xC2) return gap() && b != 0xBF ? 2 : 0;  // no-break space, marks; not ¿
        if (a >= 0xC3 && a < 0xE0) {
            unsigned high = a, low = b;
            if (a == 0xC3 && b >= 0x80 && b <= 0x9E) low = b + 0x20;               // À to Þ
            if (a == 0xD0 && b >= 0x90 && b <= 0x9F) low = b + 0x20;               // А to П
            if (a == 0xD0 && b >= 0xA0 && b <= 0xAF) high = 0xD1, low = b - 0x20;  // Р to Я
            const bool room =
                put(static_cast<unsigned char>(high), static_cast<unsigned char>(low));
            return room ? 2 : 0;
        }
        if (a == 0xE2 && b == 0x80 && c == 0x99) return 3;                // ’ within a word
        if (a == 0xE2 || (a == 0xE3 && b == 0x80)) return gap() ? 3 : 0;  // dashes; 、 and 。
        if (a == 0xEF && b == 0xBC) return c != 0x9F && gap() ? 3 : 0;    // ，and ！ but not ？
        if (a >= 0xF0) return gap() ? 4 : 0;                              // a picture of a hand
        for (std::size_t i = 0; i < 3; ++i)
            if (!put(static_cast<char>(at(i)))) return 0;
        return a >= 0xE0 ? 3 : 0;
    }

    std::array<char, bytes_max> bytes_;
    std::size_t size_ = 0;
};

bool without_spaces(std::string_view word) {
    const auto lead = static_cast<unsigned char>(word.front());
    return lead >= 0xE3 && lead <= 0xED;
}

// Whether it is made of known ones only.
bool known_spaceless(std::string_view word) {
    while (!word.empty()) {
        std::size_t longest = 0;
        for (std::string_view one : spaceless)
            if (one.size() > longest && word.starts_with(one)) longest = one.size();
        if (longest == 0) return false;
        word.remove_prefix(longest);
    }
    return true;
}

bool bare_words(std::string_view text) {
    std::size_t count = 0;
    bool all_known = true, own = false;
    while (!text.empty()) {
        std::size_t end = std::min(text.find(' '), text.size());
        std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (word.empty()) continue;
        if (++count > words_max) return false;
        if (without_spaces(word)) {
            if (!known_spaceless(word)) return false;
            continue;
        }
        if (known.has(word)) continue;
        all_known = false;
        const std::uint32_t group = word_group_table.find(word_hash(word));
        own = own || questions.has(word) || group < greeting_group;  // the name of a task
    }
    return all_known || (!own && count <= words_own_max);
}

}  // namespace

bool is_bare_turn(const Message& turn) {
    std::size_t bytes = 0;
    for (const Part& part : turn.parts) {
        if (part.kind != Part::Kind::text) return false;
        bytes += part.text.size();
    }
    if (bytes > bytes_max) return false;
    Plain plain;
    for (const Part& part : turn.parts)
        if (!plain.read(part.text) || !plain.gap()) return false;
    return bare_words(plain.words());
}

}  // namespace sluice
