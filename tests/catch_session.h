// How a test program's main() runs its tests.
#pragma once

namespace sluice {

// Reads the command line, too. Gives the exit status.
int run_tests(int argc, char** argv);

}  // namespace sluice
