// Catch2's own code, compiled once for all test programs.
#include "tests/catch_session.h"

#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

namespace sluice {

int run_tests(int argc, char** argv) { return Catch::Session().run(argc, argv); }

}  // namespace sluice
