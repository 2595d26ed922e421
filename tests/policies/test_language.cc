#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "policies/language.h"

namespace sluice {

TEST_CASE("a sentence's language is told by its script or its commonest words", "[language]") {
    for (auto [code, text] : std::initializer_list<std::pair<const char*, const char*>>{
             {"en", "What is the capital of France and how do I get there?"},
             {"de", "Kannst du mir bitte erklären, wie das mit der Steuer ist?"},
             {"fr", "Pouvez-vous me dire quelle est la capitale de la France et pourquoi ?"},
             {"es", "¿Cuál es la capital de Francia y por qué es importante para los demás?"},
             {"it", "Qual è la capitale della Francia e perché non è Lione?"},
             {"pt", "Você pode explicar o que é uma função e como não usar?"},
             {"nl", "Wat is de hoofdstad van het land en hoe kan ik er komen?"},
             {"pl", "Proszę napisz co to jest funkcja i czy można z niej korzystać na co dzień"},
             {"sv", "Vad är det som jag inte kan göra med den och hur?"},
             {"ru", "Какая столица Франции и почему?"},
             {"uk", "Яка столиця Франції і чому її обрали?"},
             {"zh", "法国的首都是哪里？"},
             {"ja", "フランスの首都はどこですか？東京との違いは？"},
             {"ko", "프랑스의 수도는 어디입니까?"},
             {"ar", "ما هي عاصمة فرنسا؟"},
             {"el", "Ποια είναι η πρωτεύουσα της Γαλλίας;"},
             {"hi", "फ्रांस की राजधानी क्या है?"},
             {"th", "เมืองหลวงของฝรั่งเศสคืออะไร"}}) {
        INFO(text);
        CHECK(language_of_text(text) == code);
    }
}

TEST_CASE("what cannot be told is no language", "[language]") {
    for (const char* text : {"", "42", "ok", "x = y * (3 + z);", "\xFF\xFE\xC3", "hello"})
        CHECK(language_of_text(text).empty());
}

TEST_CASE("a Chinese question about an English word is Chinese", "[language]") {
    CHECK(language_of_text("请解释一下 inheritance 这个词的意思和用法") == "zh");
}

}  // namespace sluice
