// Personal data that can be told by its form. One pass, no allocation, a bounded number of steps a
// byte; nothing of what is found is kept or returned, only its kind. Pure.
//
// What this cannot do: names, addresses, birthdays and free descriptions have no form; digits
// written as words are not seen (which escapes and other scripts are: pii_escapes.h, and where in a
// request: pii_request.h). Numbers with check digits (IBAN, cards, most national ids) are seldom
// taken wrongly; phone numbers are told by shape alone, but never in a UUID.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

using PiiSet = std::uint8_t;

constexpr PiiSet pii_email = 1;         // local@domain.tld
constexpr PiiSet pii_phone = 2;         // +49 30 1234567, (415) 555-2671, 030/1234567
constexpr PiiSet pii_iban = 4;          // 2 letters, 2 digits, the country's length, mod 97 = 1
constexpr PiiSet pii_card = 8;          // 13 to 19 digits of a known issuer's range, Luhn
constexpr PiiSet pii_national_id = 16;  // US SSN, UK NINO, FR NIR, ES DNI and NIE, IT codice
                                        // fiscale, DE tax id, PL PESEL: by their check digits,
                                        // SSN and NINO by shape and forbidden ranges
constexpr PiiSet pii_all = 31;

struct PiiName {
    std::string_view name;
    PiiSet kind;
};
std::span<const PiiName> pii_names();  // as policies write them

// Which of the `wanted` kinds the text has. Stops early when all are found.
PiiSet find_pii(std::string_view text, PiiSet wanted);

}  // namespace sluice
