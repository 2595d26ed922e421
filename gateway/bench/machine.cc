#include "gateway/bench/machine.h"

#include <sys/utsname.h>

#include <ctime>
#include <fstream>
#include <thread>

namespace sluice::bench {

std::string machine() {
    std::ifstream file("/proc/cpuinfo");
    std::string line;
    std::string model = "unknown processor";
    while (std::getline(file, line))
        if (line.starts_with("model name")) model = line.substr(line.find(':') + 2);
    utsname system = {};
    ::uname(&system);
    return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores, Linux " +
           system.release;
}

std::string today() {
    std::time_t now = std::time(nullptr);
    char text[16];
    return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now)));
}

}  // namespace sluice::bench
