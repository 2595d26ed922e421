#!/usr/bin/env python3
"""Makes the tokenizer's golden files with llama.cpp, so that the tests need no llama.cpp.

    pip install llama-cpp-python
    python3 tests/engine/make_tokenizer_golden.py models/smollm2-135m-instruct-q4_1.gguf

Reads tokenizer_handwritten.txt and writes, beside it:
  tokenizer_corpus.txt   those strings and generated ones, one a line: '+' (special tokens are
                         parsed) or '-', then the text, in which \\{HEX} is a code point
  tokenizer_smollm2.txt  its token ids in the given model, one string a line
  tokenizer_words.txt    per pre-tokenizer, a line with its name and then, a string a line, the
                         bytes in each token of a vocabulary that has all bytes and all pairs of
                         bytes: a pair is never merged across a word boundary, so the lengths show
                         where words end without shipping a large vocabulary
"""
import pathlib
import re
import struct
import sys
import tempfile
import unicodedata

HERE = pathlib.Path(__file__).parent
PRE_TOKENIZERS = ["gpt-2", "smollm", "qwen2", "llama-bpe"]

SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"


def spaces():
    """Every kind of white space: alone, in runs, before and after every kind of word."""
    for space in SPACES:
        for run in (1, 2, 3):
            s = space * run
            yield f"{s}x{s}1{s}.{s}\u00e9{s}'s{s}"
    for left in "\t\n\r \xa0\u3000":
        for right in "\t\n\r \xa0\u3000":
            yield f"a{left}{right}b{left}{right}{left}1{right}{left}{left}!{left}{right}"
    for run in (4, 7, 8, 16, 33, 100):
        yield " " * run + "x" + "\t" * run + "y" + "\n" * run + "z" + " " * run
        yield "x" + " " * run + "1" + " \n" * run + "." + "\r\n" * run


def planes():
    """Three characters of each category in every 256 code points, between others."""
    state = 1
    for page in range(0, 0x110000, 256):
        codes = [code for code in range(page, page + 256)
                 if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")]
        if not codes:
            codes = [page + 0x42] if page % 0x8000 == 0x4000 else []
        kinds = {}
        for code in codes:
            kinds.setdefault(unicodedata.category(chr(code)), []).append(code)
        sample = []
        for category in sorted(kinds):
            for _ in range(3):
                state = (state * 1103515245 + 12345) % (1 << 31)
                sample.append(kinds[category][state // 65536 % len(kinds[category])])
        for at in range(0, len(sample), 4):
            yield " ".join(f"a{c} {c}1{c}{c}" for c in map(chr, sample[at:at + 4]))


def corpus():
    """(parse special tokens, text) pairs."""
    lines = (HERE / "tokenizer_handwritten.txt").read_text().splitlines()
    written = [(line[0] == "+", plain(line[1:])) for line in lines]
    return written + [(True, text) for text in [*spaces(), *planes()]]


def plain(shown):
    return re.sub(r"\\\{([0-9A-F]+)\}", lambda found: chr(int(found[1], 16)), shown)


def escaped(text):
    shown = []
    for char in text:
        visible = unicodedata.category(char)[0] in "LNPS" and char != "\\" or char == " "
        shown.append(char if visible else "\\{%X}" % ord(char))
    return "".join(shown)


class LlamaCpp:
    """A vocabulary loaded by llama.cpp."""

    def __init__(self, path):
        import llama_cpp
        self.lib = llama_cpp.llama_cpp
        self.lib.llama_backend_init()
        params = self.lib.llama_model_default_params()
        params.vocab_only = True
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocab = self.lib.llama_model_get_vocab(self.model)

    def ids(self, text, parse_special):
        data = text.encode()
        out = (self.lib.llama_token * (len(data) + 8))()
        count = self.lib.llama_tokenize(
            self.vocab, data, len(data), out, len(out), False, parse_special)
        return list(out[:count])


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pair_vocabulary(pre):
    """A GGUF file with a token for every byte and every pair of bytes; its merges' ranks are
    scattered by an odd multiplier. tests/engine/test_pretokenizer.cc builds the same one."""
    own = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    rest = [b for b in range(256) if b not in own]
    spelled = {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(rest)}
    pairs = [divmod((i * 40503 + 12345) % 65536, 256) for i in range(65536)]
    tokens = [spelled[b] for b in range(256)] + [spelled[a] + spelled[b] for a, b in pairs]
    merges = [spelled[a] + " " + spelled[b] for a, b in pairs]
    entries = []

    def text(key, value):
        entries.append(gguf_text(key) + struct.pack("<I", 8) + gguf_text(value))

    def texts(key, values):
        entries.append(gguf_text(key) + struct.pack("<IIQ", 9, 8, len(values)) +
                       b"".join(map(gguf_text, values)))

    def number(key, value):
        kind, form = (6, "f") if isinstance(value, float) else (4, "I")
        entries.append(gguf_text(key) + struct.pack("<I" + form, kind, value))

    text("general.architecture", "llama")
    for key in ("context_length", "embedding_length", "block_count", "feed_forward_length",
                "attention.head_count"):
        number("llama." + key, 64)
    number("llama.attention.layer_norm_rms_epsilon", 1e-5)
    text("tokenizer.ggml.model", "gpt2")
    text("tokenizer.ggml.pre", pre)
    texts("tokenizer.ggml.tokens", tokens)
    texts("tokenizer.ggml.merges", merges)
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)
    return data + bytes(-len(data) % 32)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    strings = corpus()
    lines = [("+" if special else "-") + escaped(text) for special, text in strings]
    (HERE / "tokenizer_corpus.txt").write_text("\n".join(lines) + "\n")
    model = LlamaCpp(sys.argv[1])
    lines = [" ".join(map(str, model.ids(text, special))) for special, text in strings]
    (HERE / "tokenizer_smollm2.txt").write_text("\n".join(lines) + "\n")
    lines = []
    for pre in PRE_TOKENIZERS:
        lines.append(pre)
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(pair_vocabulary(pre))
            file.flush()
            pairs = LlamaCpp(file.name)
        for _, text in strings:
            lines.append("".join("1" if i < 256 else "2" for i in pairs.ids(text, True)))
    (HERE / "tokenizer_words.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(strings)} strings, {sum(len(text.encode()) for _, text in strings)} bytes")


if __name__ == "__main__":
    main()
