// A template's source cut into lexemes by Jinja's rules, with trim_blocks and lstrip_blocks on and
// the last newline dropped, as Hugging Face sets them. Pure; any thread.
// Source of the rules: the Jinja template designer documentation, "Whitespace Control".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace sluice::jinja {

struct Position {
    int line = 1;
    int column = 1;  // bytes, from 1
};

struct Lexeme {
    enum class Kind {
        data,
        print_begin,
        print_end,
        block_begin,
        block_end,
        name,
        string,
        integer,
        real,
        mark,
        end,
    };
    Kind kind = Kind::end;
    std::string text;  // of a string: its value
    std::int64_t integer = 0;
    double real = 0;
    Position at;
};

constexpr std::size_t source_bytes_max = 256U << 10;

// "chat template:12:7: message", code bad_file.
Error template_fault(Position at, const std::string& message);

Result<std::vector<Lexeme>> read_lexemes(std::string_view source);

}  // namespace sluice::jinja
