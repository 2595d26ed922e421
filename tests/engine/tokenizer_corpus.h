// The golden files of make_tokenizer_golden.py.
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice {

inline std::vector<std::string> golden_lines(const std::string& name) {
    std::ifstream in(std::string(SLUICE_SOURCE_DIR) + "/tests/engine/" + name);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    if (lines.empty()) throw std::runtime_error("cannot read " + name);
    return lines;
}

inline void append_utf8(std::string& out, unsigned code) {
    auto byte = [&](unsigned value) { out += static_cast<char>(value); };
    if (code < 0x80) return byte(code);
    if (code < 0x800) {
        byte(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            byte(0xE0 | code >> 12);
        } else {
            byte(0xF0 | code >> 18);
            byte(0x80 | (code >> 12 & 0x3F));
        }
        byte(0x80 | (code >> 6 & 0x3F));
    }
    byte(0x80 | (code & 0x3F));
}

struct CorpusText {
    bool parse_special = false;
    std::string text;
};

inline std::vector<CorpusText> tokenizer_corpus() {
    std::vector<CorpusText> corpus;
    for (const std::string& line : golden_lines("tokenizer_corpus.txt")) {
        CorpusText item{line.at(0) == '+', {}};
        for (std::size_t at = 1; at < line.size();) {
            if (line[at] != '\\') {
                item.text += line[at++];
                continue;
            }
            std::size_t end = line.find('}', at);
            append_utf8(item.text, static_cast<unsigned>(
                                       std::stoul(line.substr(at + 2, end - at - 2), nullptr, 16)));
            at = end + 1;
        }
        corpus.push_back(item);
    }
    return corpus;
}

}  // namespace sluice
