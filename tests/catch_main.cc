// main() of the test programs that have none of their own.
#include "tests/catch_session.h"

int main(int argc, char** argv) { return sluice::run_tests(argc, argv); }
