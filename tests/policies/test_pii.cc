// Personal data by its form: what is found, what is not taken for it, and that any bytes are safe.
#include <ctime>
#include <random>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "policies/pii.h"

namespace sluice {
namespace {

PiiSet found(const std::string& text) { return find_pii(text, pii_all); }
bool finds(PiiSet kind, const std::string& text) { return (find_pii(text, kind) & kind) != 0; }

}  // namespace

TEST_CASE("e-mail addresses are found, code and handles are not", "[pii]") {
    for (const char* text : {"write to ann@example.com", "<a.b+c@mail.example.co.uk>",
                             "mailto:x_1@sub-domain.example.org.", "@ann@example.de,"})
        CHECK(finds(pii_email, text));
    for (const char* text : {"@decorator", "a @ b.com", "user@localhost", "x@1.2.3.4", "a@b.",
                             "a@b.c", "git@", "foo@-", "a@@b", ".@example.com", "a@example..com"})
        CHECK_FALSE(finds(pii_email, text));
}

TEST_CASE("cards are found by range, length and Luhn, with or without separators", "[pii]") {
    for (const char* text : {"4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004",
                             "my Amex 3782 822463 10005!", "order 12 4111 1111 1111 1111 on 3.4.",
                             "6011000990139424", "2223 0031 2200 3222", "卡号4111111111111111。"})
        CHECK(finds(pii_card, text));
    for (const char* text : {"4111 1111 1111 1112", "1234567812345670", "0000000000000000",
                             "x4111111111111111", "4111111111111111a", "411111111111",
                             "41111111111111111111111111", "3.14159265358979323846"})
        CHECK_FALSE(finds(pii_card, text));
}

TEST_CASE("IBANs are found by country, length and mod 97", "[pii]") {
    for (const char* text :
         {"DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb82west12345698765432",
          "FR14 2004 1010 0505 0001 3M02 606.", "(NL91ABNA0417164300)", "NO9386011117947",
          "IBAN:CH9300762011623852957"})
        CHECK(finds(pii_iban, text));
    for (const char* text :
         {"DE88370400440532013000", "DE8937040044053201300", "ZZ89370400440532013000",
          "XDE89370400440532013000", "DE893704004405320130001", "AB12"})
        CHECK_FALSE(finds(pii_iban, text));
}

TEST_CASE("phone numbers are told by their shape", "[pii]") {
    for (const char* text : {"+49 30 1234567", "call +1 (415) 555-2671 now", "(415) 555-2671",
                             "415-555-2671", "030/1234567", "0171 1234567", "01 23 45 67 89",
                             "+8613812345678", "+49 30 1234567 2024 2025"})
        CHECK(finds(pii_phone, text));
    for (const char* text : {"2024-11-22", "01.02.2024 10:30", "1.2.3.4", "10 000 000", "12345",
                             "v1.12.3-4", "+1", "192.168.100.200", "x = 3 + 4", "1,000,000,000"})
        CHECK_FALSE(finds(pii_phone, text));
}

TEST_CASE("national ids are found by their check digits", "[pii]") {
    for (const char* text : {"SSN 078-05-1120", "AB123456C", "nino: AB 12 34 56 C", "12345678Z",
                             "X1234567L", "RSSMRA85T10A562S", "44051401359", "86095742719",
                             "1 84 12 76 451 089 46", "tel 12 12345678Z"})
        CHECK(finds(pii_national_id, text));
    for (const char* text :
         {"000-12-3456", "666-12-3456", "912-12-3456", "078-05-0000", "12345678A", "X1234567A",
          "RSSMRA85T10A562T", "44051401358", "86095742718", "DA123456C", "2024-11-2212"})
        CHECK_FALSE(finds(pii_national_id, text));
}

TEST_CASE("only what is asked for is looked for", "[pii]") {
    const std::string all =
        "ann@example.com 4111111111111111 DE89370400440532013000 078-05-1120 "
        "+49 30 1234567";
    CHECK(found(all) == pii_all);
    CHECK(find_pii(all, pii_iban | pii_email) == (pii_iban | pii_email));
    CHECK(find_pii(all, 0) == 0);
    CHECK(found("") == 0);
}

TEST_CASE("a number is found wherever it stands in a long list of numbers", "[pii]") {
    std::string fours, fifteens;
    for (int before = 0; before < 40; ++before) {
        INFO(before << " numbers before it");
        CHECK(found(fours + "4111 1111 1111 1111") == pii_card);
        CHECK(found(fifteens + "378282246310005") == pii_card);
        fours += "1234 ";
        fifteens += "123456789012345 ";
    }
}

TEST_CASE("a number is found wherever it stands in a text, and by its own digits only", "[pii]") {
    for (std::size_t before = 0; before < 40; ++before) {
        const std::string space(before, ' ');
        INFO(before << " bytes before it");
        CHECK(found(space + "12345678Z") == pii_national_id);
        CHECK(found(space + "1234567") == 0);
        CHECK(found(space + "ann@example.com") == pii_email);
        CHECK(found(space + "+49 30 123") == 0);
        CHECK(found(space + "+49 30 1234") == pii_phone);
        CHECK(found(space + "7 12 3, 030/1234567") == pii_phone);
    }
}

TEST_CASE("a UUID is no phone number", "[pii]") {
    CHECK(found("id 1f0c2a6e-0301-4123-8123-fa0b1c2d3e4f.") == 0);
    CHECK(found("id 1f0c2a6-0301-4123-8123-fa0b1c2d3e4f.") == pii_phone);
}

TEST_CASE("any bytes are read without harm and in bounded time", "[pii]") {
    std::mt19937 random(1);
    const std::string alphabet = "0123456789 -./()+@ADEXYZ.abc\xC3\xA9\xFF\x00\n";
    for (int i = 0; i < 3'000; ++i) {
        std::string text;
        for (auto n = random() % 200; n > 0; --n) text += alphabet[random() % alphabet.size()];
        PiiSet all = found(text);
        for (PiiSet kind : {pii_email, pii_phone, pii_iban, pii_card, pii_national_id})
            REQUIRE(find_pii(text, kind) == (all & kind));
    }
    // The worst that was thought of: each would be slow if a part of it were read again and again.
    for (const char* piece : {"1", "1 ", "1111 ", "1-", "AB12 ", "DE89", "a@", "a.",
                              "4111 1111 1111 1112 ", "+1 ", "12345678 ", "a", "((((1"}) {
        std::string text = "x";  // digits that go on from it are part of a word
        while (text.size() < 1 << 20) text += piece;
        const std::clock_t from = std::clock();  // of this process alone, however busy the machine
        find_pii(text, pii_all);
        const double took_s = static_cast<double>(std::clock() - from) / CLOCKS_PER_SEC;
        INFO("'" << piece << "' " << took_s << " s a MiB");
        CHECK(took_s < 5);  // 1 to 60 ms when measured alone; wide for sanitizers
    }
}

}  // namespace sluice
