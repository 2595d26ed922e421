// Runs the GPU tests, or says that there is no GPU: exit status 77, which ctest counts as skipped.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "tests/catch_session.h"
#include "tests/cuda/measured.h"

int main(int argc, char** argv) {
    bool lists = argc > 1 && std::strncmp(argv[1], "--list", 6) == 0;
    int devices = 0;
    if (!lists && (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0)) {
        std::puts("skipped: no GPU here");
        return 77;
    }
    const int status = sluice::run_tests(argc, argv);
    sluice::say_measured();
    return status;
}
