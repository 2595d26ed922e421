#!/usr/bin/env python3
"""Writes engine/text/unicode_ranges.inc: the code points of general category L and N.

    python3 engine/text/make_unicode_ranges.py > engine/text/unicode_ranges.inc

Needs Unicode 15.1.0, the version whose L and N llama.cpp's tables agree with on every code point:
Python 3.13's unicodedata, or PyPI's unicodedata2 15.1.0 for another Python.
"""
import sys
import unicodedata

VERSION = "15.1.0"
if unicodedata.unidata_version != VERSION:
    import unicodedata2 as unicodedata
if unicodedata.unidata_version != VERSION:
    sys.exit(f"expected Unicode {VERSION}, found {unicodedata.unidata_version}")


def ranges(category):
    """Runs of code points whose general category starts with `category`, as (first, last)."""
    runs = []
    for code in range(0x110000):
        if unicodedata.category(chr(code))[0] != category:
            continue
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return runs


def write(name, category):
    print(f"constexpr CodeRange {name}[] = {{")
    line = "   "
    for first, last in ranges(category):
        item = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


print(f"// Unicode {VERSION} general categories, first and last code point of each run.")
print("// Made by engine/text/make_unicode_ranges.py; do not edit.")
write("letter_ranges", "L")
write("number_ranges", "N")
