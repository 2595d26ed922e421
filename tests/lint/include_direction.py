#!/usr/bin/env python3
"""Every #include points down the house or at a library its floor may use.

usage: include_direction.py SOURCE_DIR
"""
import pathlib
import re
import sys

FLOORS = ["engine", "providers", "policies", "gateway"]
BESIDE = ["benchmarks", "tests"]  # may include all floors
LIBRARIES = {
    "engine": ["sys/", "unistd.h", "fcntl.h", "immintrin.h", "cpuid.h", "pthread.h", "sched.h",
               "linux/", "cuda", "library_types.h", "dlfcn.h", "simdjson.h"],
    "providers": ["yaml-cpp/", "simdjson.h"],
    "policies": ["yaml-cpp/", "openssl/", "simdjson.h"],
    "gateway": ["boost/", "yaml-cpp/", "openssl/", "curl/", "sqlite3.h", "prometheus/", "CLI/",
                "simdjson.h", "sys/", "unistd.h", "fcntl.h", "netinet/", "arpa/", "poll.h",
                "sched.h", "signal.h", "strings.h", "pthread.h", "linux/", "netdb.h"],
}
RANK = {floor: rank for rank, floor in enumerate(FLOORS)}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def fault_of(floor, quote, name):
    top = name.split("/")[0]
    if quote == '"':
        if top == "embedded" or floor in BESIDE:
            return None
        if top in BESIDE:
            return f"{floor}/ may not include {top}/"
        if top not in RANK:
            return f"include from the root of the tree, not {name!r}"
        if RANK[top] > RANK[floor]:
            return f"{floor}/ may not include {top}/, which is a floor above it"
        return None
    if floor in BESIDE or ("/" not in name and "." not in name):
        return None  # a standard header
    if any(name.startswith(allowed) for allowed in LIBRARIES[floor]):
        return None
    return f"{floor}/ may not use <{name}>"


def main():
    root = pathlib.Path(sys.argv[1])
    faults, seen = [], 0
    for floor in FLOORS + BESIDE:
        for path in sorted((root / floor).rglob("*")):
            if path.suffix not in (".h", ".cc", ".cu", ".cuh"):
                continue
            seen += 1
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = INCLUDE.match(line)
                fault = found and fault_of(floor, *found.groups())
                if fault:
                    faults.append(f"{path.relative_to(root)}:{number}: {fault}")
    if not fault_of("engine", '"', "gateway/chat.h") or not fault_of("engine", "<", "curl/curl.h"):
        faults.append("the lint itself lets a wrong arrow pass")
    if seen == 0:
        faults.append("no source was read")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
