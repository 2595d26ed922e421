#include "policies/language.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>

namespace sluice {
namespace {

constexpr std::size_t bytes_read = 2'048;

enum Language : std::size_t {
    ar,
    cs,
    da,
    de,
    el,
    en,
    es,
    fi,
    fr,
    he,
    hi,
    hu,
    it,
    ja,
    ko,
    nl,
    pl,
    pt,
    ro,
    ru,
    sv,
    th,
    tr,
    uk,
    zh,
    language_count
};
constexpr std::string_view codes[language_count] = {
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "hu", "it",
    "ja", "ko", "nl", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "zh"};

struct CommonWords {
    Language language;
    std::string_view words;  // between spaces, with one at both ends; lower case
};
// The most frequent function words of each, without those that most neighbours share.
constexpr CommonWords common[] = {
    {en,
     " the and of to is are was that this what how with for you your have please can which "
     "would from not do does it in if there write explain "},
    {de,
     " der die das und ist ein eine nicht mit auf für ich sie wir wie was den dem des im zu von "
     "bitte kann auch sind wird oder bei "},
    {fr,
     " le la les des et est une dans pour que qui vous nous je il elle sur avec pas au aux ce "
     "cette sont plus ou du "},
    {es,
     " el los las y es una que para por con del se como más está son pero qué cómo un lo su al "
     "muy también "},
    {it,
     " il gli e è una che per con del della sono come più non si di nel questo anche cosa lo "
     "alla dei "},
    {pt,
     " o os as e é uma que para com não do da dos das em por mais você como está são um no na "
     "também "},
    {nl,
     " het een en van de is niet dat met voor ik je zijn op wat hoe deze aan ook maar naar kan "
     "wordt "},
    {sv, " och att det som en är på för med inte jag av den har till vad hur kan om "},
    {da, " og at det som en er på for med ikke jeg af den har til hvad hvordan kan om "},
    {fi, " ja on että se ei ole mutta kun tai hän mitä miten ovat oli myös minä kuin voi "},
    {pl, " i w na z że nie się jest to do jak co czy dla od po są przez oraz proszę "},
    {cs, " a v na že ne se je to jak co pro od po jsou nebo ale který prosím aby by "},
    {hu, " a az és hogy nem is egy van ez de meg mit hogyan vagy kell csak mint "},
    {ro, " și în la cu nu este pe că un o din pentru sau sunt care mai ce cum "},
    {tr, " ve bir bu için ile de da ne nasıl değil mi çok olarak var gibi daha "},
};

struct Counts {
    std::array<int, language_count> words{};
    std::array<int, language_count> script{};  // characters
    int latin = 0, cyrillic = 0;
};

// The code point at text[at]; moves `at` behind it. Broken UTF-8 is read byte by byte.
std::uint32_t next_point(std::string_view text, std::size_t& at) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    std::uint32_t first = byte(at++);
    int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
    std::uint32_t point = more == 3   ? first & 7
                          : more == 2 ? first & 15
                          : more == 1 ? first & 31
                                      : first;
    for (; more > 0 && at < text.size() && (byte(at) & 0xC0) == 0x80; --more)
        point = point << 6 | (byte(at++) & 0x3F);
    return point;
}

void count_script(std::uint32_t point, Counts& counts) {
    if (point < 0x80) {
        counts.latin += (point | 32) >= 'a' && (point | 32) <= 'z' ? 1 : 0;
    } else if (point < 0x250) {
        ++counts.latin;
    } else if (point >= 0x370 && point < 0x400) {
        ++counts.script[el];
    } else if (point >= 0x400 && point < 0x530) {
        ++counts.cyrillic;
        bool ukrainian = point == 0x456 || point == 0x457 || point == 0x454 || point == 0x491;
        counts.script[uk] += ukrainian ? 1 : 0;
    } else if (point >= 0x590 && point < 0x600) {
        ++counts.script[he];
    } else if (point >= 0x600 && point < 0x780) {
        ++counts.script[ar];
    } else if (point >= 0x900 && point < 0x980) {
        ++counts.script[hi];
    } else if (point >= 0xE00 && point < 0xE80) {
        ++counts.script[th];
    } else if (point >= 0x3040 && point < 0x3100) {
        ++counts.script[ja];
    } else if (point >= 0xAC00 && point < 0xD7B0) {
        ++counts.script[ko];
    } else if (point >= 0x4E00 && point < 0xA000) {
        ++counts.script[zh];
    }
}

// Word -> a bit for each language that has it.
using Lexicon = std::unordered_map<std::string_view, std::uint32_t>;
const Lexicon& lexicon() {
    static const Lexicon words = [] {
        Lexicon out;
        for (const CommonWords& one : common)
            for (std::size_t at = 1; at < one.words.size();) {
                std::size_t end = one.words.find(' ', at);
                out[one.words.substr(at, end - at)] |= 1U << one.language;
                at = end + 1;
            }
        return out;
    }();
    return words;
}

void count_word(std::string_view word, Counts& counts) {
    constexpr std::size_t word_bytes_max = 12;
    if (word.empty() || word.size() > word_bytes_max) return;
    auto found = lexicon().find(word);
    if (found == lexicon().end()) return;
    for (std::uint32_t left = found->second; left != 0; left &= left - 1)
        ++counts.words[static_cast<std::size_t>(__builtin_ctz(left))];
}

// Words are runs of ASCII letters, folded, and of bytes above: É stays É, which costs little.
void count_words(std::string_view text, Counts& counts) {
    std::array<char, 16> word{};
    std::size_t length = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        char c = i < text.size() ? text[i] : ' ';
        bool letter = (c & 0x80) != 0 || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (letter) {
            if (length < word.size())
                word[length] = (c & 0x80) != 0 ? c : static_cast<char>(c | 32);
            ++length;
            continue;
        }
        if (length <= word.size()) count_word({word.data(), length}, counts);
        length = 0;
    }
}

std::string_view by_words(const Counts& counts) {
    auto best = std::max_element(counts.words.begin(), counts.words.end());
    if (*best < 2) return "";
    // As many of another: not to be told apart.
    if (std::count(counts.words.begin(), counts.words.end(), *best) > 1) return "";
    return codes[best - counts.words.begin()];
}

}  // namespace

std::span<const std::string_view> language_codes() { return codes; }

std::string_view language_of_text(std::string_view text) {
    text = text.substr(0, bytes_read);
    Counts counts;
    for (std::size_t at = 0; at < text.size();) count_script(next_point(text, at), counts);
    if (counts.script[ja] > 0 && counts.script[ja] * 10 >= counts.script[zh]) {
        counts.script[ja] += counts.script[zh];  // Japanese is kana with Chinese characters
        counts.script[zh] = 0;
    }
    // An ideograph or a syllable says as much as three letters.
    for (Language dense : {zh, ja, ko}) counts.script[dense] *= 3;
    Language cyrillic = counts.script[uk] * 50 > counts.cyrillic ? uk : ru;
    counts.script[uk] = 0;
    counts.script[cyrillic] = counts.cyrillic;
    auto best = std::max_element(counts.script.begin(), counts.script.end());
    if (*best > counts.latin) return codes[best - counts.script.begin()];
    count_words(text, counts);
    return by_words(counts);
}

std::string_view language_of(const ChatRequest& request) {
    for (auto message = request.messages.rbegin(); message != request.messages.rend(); ++message) {
        if (message->role != Role::user) continue;
        for (const Part& part : message->parts)
            if (part.kind == Part::Kind::text && !part.text.empty())
                return language_of_text(part.text);
    }
    return "";
}

}  // namespace sluice
