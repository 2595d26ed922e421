// SHA-256 by OpenSSL, as 64 lower-case hex digits: versions of policies, weights and data, and the
// digests of virtual keys. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

std::string sha256_hex(std::string_view bytes);

}  // namespace sluice
