// What of a long text is read, skimmed and left out.
#include <catch2/catch.hpp>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "policies/features.h"
#include "policies/text_window.h"

namespace sluice {
namespace {

constexpr std::size_t head = 100, tail = 50;

std::unique_ptr<TextFeatures> windowed(std::initializer_list<std::string_view> pieces) {
    std::size_t total = 0;
    for (std::string_view piece : pieces) total += piece.size();
    auto features = std::make_unique<TextFeatures>();
    FeatureReader reader(*features);
    TextWindow window(reader, total, head, tail);
    for (std::string_view piece : pieces) window.feed(piece);
    reader.finish();
    return features;
}

const std::string options = "\nA. one\nB. two\nC. three\nD. four\n";

std::string filled(std::size_t bytes) {
    return std::string(bytes / 2, ' ') + std::string(bytes / 2, '\n');
}

}  // namespace

TEST_CASE("a text as long as the window is read whole, a longer one at its ends", "[features]") {
    const std::string early = "early" + std::string(95, ' '), late = std::string(46, ' ') + "late";
    CHECK(windowed({early, late})->words == 2);
    CHECK(windowed({early, "middle ", late})->words == 2);
    CHECK(windowed({early + "middle " + late})->words == 2);
    CHECK(windowed({early.substr(0, 94), "middle", late})->words == 3);
}

TEST_CASE("of what is left out its length counts", "[features]") {
    CHECK(windowed({std::string(1'000, ' ')})->structural[log_bytes_at] == std::log1p(850.0F));
    CHECK(windowed({std::string(100, ' '), std::string(50, ' ')})->structural[log_bytes_at] == 0);
}

TEST_CASE("options before the end are found though they are not read", "[features]") {
    const std::string before(head, 'q');
    CHECK(windowed({before + options + filled(500)})->options == 4);
    CHECK(windowed({before, options, filled(500)})->options == 4);
    CHECK(windowed({before + options + filled(3'000)})->options == 0);  // too far back
    CHECK(windowed({before + "\nA. one" + std::string(60, ' ')})->options == 1);
    CHECK(windowed({before + filled(500)})->options == 0);
}

TEST_CASE("a line is one line, wherever what is read of it ends", "[features]") {
    const std::string before(head - 3, 'q');
    // Cut behind its beginning, before it, and within.
    for (std::size_t back : {0, 1, 2, 3, 4})
        CHECK(windowed({before.substr(back) + "\nB. two" + std::string(300, ' ')})->options == 1);
    for (std::size_t to_tail = 40; to_tail < 60; ++to_tail)
        CHECK(windowed({before + std::string(300, ' ') + "\nB. two" + std::string(to_tail, ' ')})
                  ->options == 1);
}

TEST_CASE("a line of white space without end is not looked through", "[features]") {
    CHECK(windowed({"x\n" + std::string(200, ' ') + "B. two" + std::string(300, ' ')})->options ==
          1);
    CHECK(windowed({"x\n" + std::string(300, ' ') + "B. two" + std::string(300, ' ')})->options ==
          0);
}

TEST_CASE("what stands in the middle of a line begins none", "[features]") {
    const std::string before(head + 300, 'q'), middle = "a) see" + std::string(tail - 6, ' ');
    CHECK(windowed({before + middle})->options == 0);
    CHECK(windowed({before + "\n" + middle})->options == 1);
    CHECK(windowed({before, middle})->options == 1);  // another text begins a line
}

TEST_CASE("a text that begins in what is skimmed begins a line", "[features]") {
    const std::string before(head, 'q');
    CHECK(windowed({before, "A. one", "B. two", filled(500)})->options == 2);
}

}  // namespace sluice
