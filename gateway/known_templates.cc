#include "gateway/known_templates.h"

namespace sluice {

std::string_view known_template(std::string_view sha256) {
    struct Known {
        std::string_view sha256, name;
    };
    // The files of tests/providers/chat_templates.
    constexpr Known all[] = {
        {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788", "SmolLM2-Instruct"},
        {"cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f", "Qwen2.5-Instruct"},
        {"b6835114b7303ddd78919a82e4d9f7d8c26ed0d7dfc36beeb12d524f6144eab1",
         "DeepSeek-R1-Distill of January 2025, which does not open the thought"},
        {"56a1447ad31926fdc21fb07e56e5642bd9c850c4f52d8c8af7bbe5f079a84f5f",
         "DeepSeek-R1-Distill of February 2025"},
        {"563b1ce7d61d50a9b4c7439a912a1116f095b712df5b5e4d3e1116049874eb64",
         "DeepSeek-R1 of March 2025"},
    };
    for (const Known& one : all)
        if (one.sha256 == sha256) return one.name;
    return "";
}

}  // namespace sluice
