#!/usr/bin/env python3
"""Awaiting statements that gcc 12.2 miscompiles: brace-built values and ?: beside a co_await.

gcc 12 destroys brace-built temporaries twice in a statement that awaits, and both arms of a ?:.
Build the value first, then pass its name.

usage: co_await.py SOURCE_DIR
"""
import pathlib
import re
import sys

BAD = [
    (re.compile(r"co_await[^;]*?[\w>(,]\s*\{(?!\s*$)"), "a brace-built value after co_await"),
    (re.compile(r"(?:\w|[(,=])\s*\{[^;{}]*co_await"), "co_await inside braces"),
    (re.compile(r"\?[^;:]*:?[^;]*co_await|co_await[^;?]*\?[^;]*:"), "co_await in a ?: expression"),
]
OPENS_BLOCK = re.compile(r"(\)|else|try|do|\bnoexcept|const|override|->[^;(){}]*)\s*\{$")


def statements(text):
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    buffer, line, start = "", 1, 1
    for char in text:
        if char == "\n":
            line += 1
        if not buffer.strip():
            start = line
        buffer += char
        done = char == ";" or (char == "{" and OPENS_BLOCK.search(buffer))
        if done or (char == "}" and buffer.strip() == "}"):
            yield start, " ".join(buffer.split())
            buffer = ""


def faults_in(text):
    for line, statement in statements(text):
        if "co_await" not in statement:
            continue
        for pattern, why in BAD:
            if pattern.search(statement):
                yield line, why, statement[:90]
                break


def main():
    known_bad = "co_await reply.send(Delta{text});\nauto v = ok ? co_await a() : b;\n"
    if len(list(faults_in(known_bad))) != 2:
        sys.exit("the lint no longer finds what it is for")
    root, found = pathlib.Path(sys.argv[1]), 0
    for folder in ("engine", "providers", "policies", "gateway", "benchmarks", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            for line, why, statement in faults_in(path.read_text()):
                print(f"{path.relative_to(root)}:{line}: {why}: {statement}")
                found += 1
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
