#!/usr/bin/env python3
"""engine/ builds alone: it is configured where no other package than simdjson can be found.

What its files include is held by include_direction.py, so that only the build's own list is left.

usage: engine_alone.py SOURCE_DIR
"""
import subprocess
import sys
import tempfile

OTHERS = ["Boost", "yaml-cpp", "prometheus-cpp", "CURL", "SQLite3", "OpenSSL", "Catch2"]


def main():
    with tempfile.TemporaryDirectory() as build:
        configure = ["cmake", "-S", sys.argv[1], "-B", build, "-DSLUICE_ENGINE_ONLY=ON",
                     "-DSLUICE_CUDA=OFF"]
        configure += [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in OTHERS]
        done = subprocess.run(configure, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        targets = subprocess.run(["cmake", "--build", build, "--target", "help"],
                                 capture_output=True, text=True, check=True).stdout
        if "engine" not in targets or "gateway" in targets:
            sys.exit(f"not the engine alone is built:\n{targets}")


main()
