#!/usr/bin/env python3
"""Writes tests/engine/golden/composition.txt: random text and its form C, in hexadecimal.

    python3 tests/engine/make_composition_golden.py > tests/engine/golden/composition.txt
"""
import random
import unicodedata

random.seed(7)
marks = [c for c in range(0x110000) if unicodedata.combining(chr(c))]
split = [c for c in range(0x110000)
         if unicodedata.decomposition(chr(c)) and unicodedata.decomposition(chr(c))[0] != "<"]
jamo = list(range(0x1100, 0x1113)) + list(range(0x1161, 0x1176)) + list(range(0x11A7, 0x11C3))
bases = [ord(c) for c in "aeiouAEnNcC ǘ語가각Αωक"]
for index in range(600):
    codes = []
    for _ in range(random.randint(1, 6)):
        kind = random.random()
        pool = (marks if kind < 0.35 else split if kind < 0.55 else jamo if kind < 0.75 else
                list(range(0xAC00, 0xAC40)) if kind < 0.8 else bases)
        codes.append(random.choice(pool))
    text = "".join(map(chr, codes))
    if index % 2:
        text = unicodedata.normalize("NFD", text)
    print(text.encode().hex(), unicodedata.normalize("NFC", text).encode().hex())
