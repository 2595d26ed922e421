#!/usr/bin/env python3
"""Writes engine/text/composition_tables.inc: what Unicode's canonical forms need of each character.

    python3 engine/text/make_composition_tables.py > engine/text/composition_tables.inc

Any Python 3: the forms of assigned characters never change (Unicode's stability policy).
"""
import unicodedata


def write(name, kind, items):
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for item in items:
        item = f" {{{item}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


def classes():
    """Runs of characters of one combining class above 0."""
    runs = []
    for code in range(0x110000):
        found = unicodedata.combining(chr(code))
        if found == 0:
            continue
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == found:
            runs[-1][1] = code
        else:
            runs.append([code, code, found])
    return [f"0x{first:X}, 0x{last:X}, {found}" for first, last, found in runs]


composed, apart = [], []
for code in range(0x110000):
    mapping = unicodedata.decomposition(chr(code))
    if not mapping or mapping[0] == "<":
        continue
    parts = [int(part, 16) for part in mapping.split()]
    first, second = parts[0], parts[1] if len(parts) > 1 else 0
    whole = unicodedata.normalize("NFC", chr(code)) == chr(code)
    (composed if whole else apart).append(f"0x{code:X}, 0x{first:X}, 0x{second:X}")

print(f"// Unicode {unicodedata.unidata_version}: combining classes, and canonical mappings: those that")
print("// form C puts together again, and those that it leaves apart (second 0: a single character).")
print("// Made by engine/text/make_composition_tables.py; do not edit.")
write("combining_classes", "ClassRange", classes())
write("composed_mappings", "Mapping", composed)
write("apart_mappings", "Mapping", apart)
