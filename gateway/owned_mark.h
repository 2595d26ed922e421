// A mark of what a caller named, such as a session: another org's or team's of the same name has
// another. Not a secret and no proof: what it finds must not be worth a forgery.
#pragma once

#include <cstdint>
#include <string_view>

#include "providers/caller.h"

namespace sluice {

inline std::uint64_t owned_mark(const Caller& caller, std::string_view name) {
    std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
    for (std::string_view part :
         {std::string_view(caller.org), std::string_view(caller.team), name}) {
        for (char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
        hash = (hash ^ 0xFF) * 0x100000001B3;  // so that parts do not run together
    }
    return (hash ^ (hash >> 33)) * 0xFF51AFD7ED558CCD;
}

}  // namespace sluice
