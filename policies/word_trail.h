// The tokens of a text in their order, and the distinct buckets of its words and pairs. Tokens are
// noted first and followed many at a time: finding and marking them in one loop would take more
// registers than there are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice {

class WordTrail {
public:
    // A token's hash, and whether it is a word.
    using Token = std::uint64_t;
    static constexpr Token is_word = Token{1} << 32;
    static constexpr std::size_t room = 64;  // for so many tokens whenever follow_some() returned

    // Where the distinct buckets are written.
    explicit WordTrail(std::uint16_t* buckets);

    void note(Token token) { *next_++ = token; }
    // Where the next token is noted; say afterwards how far.
    Token* next() { return next_; }
    void noted_to(Token* next) { next_ = next; }

    // From here on words are hashed twice, plain and as an option's.
    void begin_options();
    void follow_some();
    void follow_all();

    // After follow_all().
    std::uint32_t words() const { return words_; }
    std::uint32_t buckets_used() const { return static_cast<std::uint32_t>(marks_.used); }
    float unique_share() const;

private:
    // Distinct buckets, as they are written.
    struct Marks {
        std::uint8_t* met;  // of each bucket, the number of the last text that had it
        std::uint16_t* buckets;
        std::size_t used;        // how many are written
        std::uint32_t previous;  // hash of the token before, for pairs
        std::uint8_t text;       // this text's number, greater than all others in `met`

        bool follow(std::uint32_t hash, bool in_options);
        bool mark(std::uint32_t hash);
    };

    Marks marks_;
    bool in_options_ = false;
    std::uint32_t words_ = 0, unique_ = 0;  // unique: of the first words only
    static constexpr std::size_t noted_max = 256;
    Token* next_ = noted_.data();
    std::array<Token, noted_max> noted_;
};

}  // namespace sluice
